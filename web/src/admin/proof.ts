/**
 * An event's receipt, verified here in the browser: its hash is made anew from what it says, and
 * leads through the tree (RFC 6962) to the root that the service has signed (C2SP checkpoint).
 */
import { address, ask } from "@/api/http"

export interface Receipt {
  leaf: number
  position: string
  hash: string
  event: Record<string, string | null>
  size: number
  hashes: string[]
  checkpoint: string
}

/** `signed`: null where this browser cannot check signatures. */
export interface Verdict {
  receipt: Receipt
  included: boolean
  signed: boolean | null
  origin: string
}

const FORMAT = "houqin event 1"
/** Of an event's leaf, in this order; then the bytes of its data. */
const FIELDS = ["position", "month", "stream", "version", "id", "type", "organisation", "actor", "occurred_at", "recorded_at", "correlation", "causation", "trace"]

type Bytes = Uint8Array<ArrayBuffer>

export async function verify(service: string, position: string): Promise<Verdict> {
  const { data: receipt } = await ask<Receipt>(address(`/api/${service}/log/proofs/inclusion`, { event: position }))
  const { data: known } = await ask<{ keys: string[] }>(`/api/${service}/log/keys`)
  const { text, origin, size, root, signatures } = opened(receipt.checkpoint)
  const leaf = await sha256(joined([0], leafOf(receipt.event)))
  const reached = await climbed(leaf, receipt.leaf, receipt.size, receipt.hashes.map(decoded))
  const included = size === receipt.size && reached !== null && base64(reached) === root
  return { receipt, included, signed: await signedBy(text, signatures, known.keys), origin }
}

function leafOf(event: Receipt["event"]): Bytes {
  const texts = [FORMAT, ...FIELDS.map((name) => event[name] ?? null)]
  const parts = texts.map((text) => (text === null ? new Uint8Array([255, 255, 255, 255]) : measured(new TextEncoder().encode(text) as Bytes)))
  return joined(...parts, measured(decoded(event.data ?? "")))
}

/** From a leaf up to the root that its neighbours lead to; null where they are too few or too many. */
async function climbed(leaf: Bytes, number: number, size: number, hashes: Bytes[]): Promise<Bytes | null> {
  const sides = way(number, 0, size)
  if (sides.length !== hashes.length) return null
  let node = leaf
  for (const [n, hash] of hashes.entries()) {
    node = await sha256(sides[n] === "right" ? joined([1], node, hash) : joined([1], hash, node))
  }
  return node
}

/** On which side the neighbours of a leaf lie, from the leaf up. */
function way(number: number, low: number, high: number): ("left" | "right")[] {
  if (high - low <= 1) return []
  const middle = low + 2 ** Math.floor(Math.log2(high - low - 1))
  return number < middle ? [...way(number, low, middle), "right"] : [...way(number, middle, high), "left"]
}

function opened(note: string): { text: string; origin: string; size: number; root: string; signatures: string[] } {
  const gap = note.lastIndexOf("\n\n")
  const text = note.slice(0, gap + 1)
  const [origin = "", size = "", root = ""] = text.split("\n")
  return { text, origin, size: Number(size), root, signatures: note.slice(gap + 2).split("\n").filter(Boolean) }
}

/** Whether one of the keys has signed the text; a key is `name+id+key`, its first byte the kind. */
async function signedBy(text: string, signatures: string[], keys: string[]): Promise<boolean | null> {
  try {
    for (const key of keys) {
      const raw = decoded(key.split("+").slice(2).join("+")).slice(1)
      const made = await crypto.subtle.importKey("raw", raw, "Ed25519", false, ["verify"])
      for (const line of signatures) {
        const signature = decoded(line.split(" ")[2] ?? "").slice(4)
        if (await crypto.subtle.verify("Ed25519", made, signature, new TextEncoder().encode(text))) return true
      }
    }
    return false
  } catch {
    return null
  }
}

async function sha256(bytes: Bytes): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes))
}

function measured(bytes: Bytes): Bytes {
  const length = new Uint8Array(4)
  new DataView(length.buffer).setUint32(0, bytes.length)
  return joined(length, bytes)
}

function joined(...parts: (Bytes | number[])[]): Bytes {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

function decoded(text: string): Bytes {
  return Uint8Array.from(atob(text), (one) => one.charCodeAt(0))
}

function base64(bytes: Bytes): string {
  return btoa(String.fromCharCode(...bytes))
}
