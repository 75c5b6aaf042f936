/**
 * Pictures as they are sent: small enough for a slow line, upright, and without what a camera
 * writes beside them (where it was, whose device). Drawing them anew leaves all of that behind.
 */
export const PICTURE_BYTES_MAX = 300_000

/** Side in pixels and quality, tried in turn until a picture is small enough. */
const STEPS: [number, number][] = [[1920, 0.82], [1600, 0.75], [1280, 0.7], [1024, 0.65], [800, 0.6], [640, 0.5]]

/** The picture could not be read, or not be made small enough. */
export class Unreadable extends Error {}

/** A picture as a JPEG of at most 300 kB; throws `Unreadable` for what is none. */
export async function shrunk(file: Blob): Promise<Blob> {
  const picture = await createImageBitmap(file).catch((error: unknown) => {
    throw new Unreadable(String(error))
  })
  try {
    for (const [side, quality] of STEPS) {
      const made = await drawn(picture, side, quality)
      if (made.size <= PICTURE_BYTES_MAX) return made
    }
  } finally {
    picture.close()
  }
  throw new Unreadable("too large")
}

async function drawn(picture: ImageBitmap, side: number, quality: number): Promise<Blob> {
  const scale = Math.min(1, side / Math.max(picture.width, picture.height))
  const canvas = document.createElement("canvas")
  canvas.width = Math.max(1, Math.round(picture.width * scale))
  canvas.height = Math.max(1, Math.round(picture.height * scale))
  const pen = canvas.getContext("2d") as CanvasRenderingContext2D
  pen.fillStyle = "#fff" // what is transparent would become black
  pen.fillRect(0, 0, canvas.width, canvas.height)
  pen.drawImage(picture, 0, 0, canvas.width, canvas.height)
  return await blobOf(canvas, "image/jpeg", quality)
}

/** What is drawn on a canvas as a file. */
export async function blobOf(canvas: HTMLCanvasElement, type: string, quality?: number): Promise<Blob> {
  return await new Promise((resolve, reject) => {
    canvas.toBlob((made) => (made ? resolve(made) : reject(new Unreadable("not drawn"))), type, quality)
  })
}
