/** A file on its way to the portal: how much of it has arrived there, and a way to stop it. */
import { Unreachable, guarded, refusal } from "@/api/http"

/** Whoever sent it has stopped it before all of it was there: nothing came of it. */
export class Stopped extends Error {}

/** JSON that came back, or the file. */
export interface Came {
  data: unknown
  file: Blob | null
}

export interface Sending {
  answer: Promise<Came>
  stop: () => void
}

/** Sends a file; `arrived`: the share of it that is there, 1 as soon as it is being worked on. */
export function upload(path: string, file: Blob, key: string, arrived: (share: number) => void): Sending {
  const request = new XMLHttpRequest()
  const answer = new Promise<Came>((resolve, reject) => {
    request.open("POST", path)
    request.responseType = "blob"
    for (const [name, value] of Object.entries({ ...guarded(), "Idempotency-Key": key })) {
      request.setRequestHeader(name, value)
    }
    request.upload.onprogress = (event) => arrived(event.total ? event.loaded / event.total : 0)
    request.upload.onload = () => arrived(1)
    request.onabort = () => reject(new Stopped())
    request.onerror = () => reject(new Unreachable("upload"))
    request.onload = () => void read(request).then(resolve, reject)
    request.send(file)
  })
  return { answer, stop: () => request.abort() }
}

async function read(request: XMLHttpRequest): Promise<Came> {
  const blob = request.response as Blob
  const data = blob.type.includes("json") ? JSON.parse(await blob.text()) : undefined
  if (request.status >= 200 && request.status < 300) return { data, file: data ? null : blob }
  throw refusal(request.status, data)
}
