/** Finds a QR code in a picture: by the browser where it can, else by a decoder beside the page. */
export type Picture = HTMLVideoElement | ImageBitmap

interface Detector {
  detect(picture: Picture): Promise<{ rawValue: string }[]>
}

interface DetectorClass {
  new (options: { formats: string[] }): Detector
  getSupportedFormats(): Promise<string[]>
}

const FORMAT = "qr_code"
/** Codes are coarse: a larger picture takes longer and says no more; at last as it is. */
const SIDES_PX = { quick: [800], patient: [800, 1600] }

let worker: Worker | undefined
/** The decoder answers in turn: a picture that is chosen waits for the camera's last one. */
let turn: Promise<unknown> = Promise.resolve()
let native: Promise<Detector | null> | undefined

/** The text of the code in a picture, or null; `patient` for a picture that was chosen. */
export async function textIn(picture: Picture, patient = false): Promise<string | null> {
  const detector = await (native ??= nativeDetector())
  if (detector) {
    try {
      const [found] = await detector.detect(picture)
      if (found || !patient) return found?.rawValue ?? null
    } catch {
      native = Promise.resolve(null) // phones without Google's services offer it and cannot do it
    }
  }
  for (const side of patient ? SIDES_PX.patient : SIDES_PX.quick) {
    const text = await decoded(pixelsOf(picture, side), patient)
    if (text !== null) return text
  }
  return null
}

/** Lets the decoder go. */
export function endReading(): void {
  worker?.terminate()
  worker = undefined
  turn = Promise.resolve()
}

async function nativeDetector(): Promise<Detector | null> {
  const { BarcodeDetector: made } = globalThis as { BarcodeDetector?: DetectorClass }
  try {
    return made && (await made.getSupportedFormats()).includes(FORMAT) ? new made({ formats: [FORMAT] }) : null
  } catch {
    return null
  }
}

function decoded(picture: ImageData, patient: boolean): Promise<string | null> {
  const answer = turn.then(() => askedOf(picture, patient))
  turn = answer.catch(() => null)
  return answer
}

function askedOf(picture: ImageData, patient: boolean): Promise<string | null> {
  const mine = (worker ??= new Worker(new URL("./decode.worker.ts", import.meta.url), { type: "module" }))
  return new Promise((resolve, reject) => {
    mine.onmessage = ({ data }: MessageEvent<string | null>) => resolve(data)
    mine.onerror = (error) => reject(new Error(error.message))
    mine.postMessage({ picture, patient }, [picture.data.buffer])
  })
}

function pixelsOf(picture: Picture, side: number): ImageData {
  const [width, height] = "videoWidth" in picture ? [picture.videoWidth, picture.videoHeight] : [picture.width, picture.height]
  const scale = Math.min(1, side / Math.max(width, height))
  const canvas = document.createElement("canvas")
  canvas.width = Math.max(1, Math.round(width * scale))
  canvas.height = Math.max(1, Math.round(height * scale))
  const drawn = canvas.getContext("2d", { willReadFrequently: true })!
  drawn.drawImage(picture, 0, 0, canvas.width, canvas.height)
  return drawn.getImageData(0, 0, canvas.width, canvas.height)
}
