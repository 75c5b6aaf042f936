/** Reads QR codes where the browser itself cannot, beside the page, so that it stays quick. */
import { decodeQR } from "qr/decode.js"

/** So long may a picture be looked at that was chosen, and so long one of many of the camera. */
const LOOK_MS = { patient: 1500, quick: 60 }

interface Asked {
  picture: ImageData
  patient: boolean
}

onmessage = ({ data }: MessageEvent<Asked>) => {
  postMessage(textIn(data))
}

function textIn({ picture, patient }: Asked): string | null {
  try {
    return decodeQR(picture, { timeLimit: patient ? LOOK_MS.patient : LOOK_MS.quick })
  } catch {
    return null // no code in it, or none that can be made out
  }
}
