/**
 * Photos, signatures and documents as the device keeps them, by their SHA-256: from the moment
 * they are taken until the record that names them has been entered.
 */
import { nextTick } from "vue"
import { withRoom } from "@/offline/room"
import { type Kept, database, dropUnnamed } from "@/offline/store"
import { hashesIn } from "./named"

/** What no draft or record names stays so long: a form that is open may be about to. */
const UNNAMED_MS = 24 * 3_600_000

const underWay = new Set<Promise<unknown>>()

/** Notes that a file is being made smaller and kept, which takes an old phone seconds. */
export async function preparing<T>(work: Promise<T>): Promise<T> {
  underWay.add(work)
  try {
    return await work
  } finally {
    underWay.delete(work)
  }
}

/** Waits until every file that was chosen is in its field: before a form is sent or left. */
export async function prepared(): Promise<void> {
  while (underWay.size) await Promise.allSettled(underWay)
  await nextTick()
}

/** Keeps a file on the device; the name that drafts and records know it by. */
export async function keepFile(blob: Blob): Promise<string> {
  const bytes = await blob.arrayBuffer()
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes))
  const sha256 = [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("")
  await withRoom(async () => (await database()).put("files", { sha256, type: blob.type, bytes, kept_at: Date.now() }))
  return sha256
}

/** A file that the device still has. */
export async function keptFile(sha256: string): Promise<Blob | undefined> {
  const found = await (await database()).get("files", sha256)
  return found && new Blob([found.bytes], { type: found.type })
}

/** The files that the device has of those that something names. */
export async function filesIn(value: unknown): Promise<Kept[]> {
  const own = await database()
  const found = await Promise.all([...hashesIn(value)].map((sha256) => own.get("files", sha256)))
  return found.filter((one) => one !== undefined)
}

/** Removes what no draft or record names any more; what `entered` names even if it is recent. */
export async function forgetFiles(entered: unknown = null): Promise<void> {
  const done = hashesIn(entered)
  const before = Date.now() - UNNAMED_MS
  await dropUnnamed(await database(), (file) => file.kept_at < before || done.has(file.sha256))
}
