/**
 * What the browser keeps for a person: drafts, the outbox, and what was last known of the
 * platform. Each has a database of their own, so that nobody meets on a shared device what
 * another has left on it.
 */
import { type DBSchema, type IDBPDatabase, openDB } from "idb"
import { session } from "@/api/session"
import { hashesIn } from "@/files/named"
import type { Waiting } from "./outbox"
import { tellOtherTabs } from "./tabs"

export interface Draft {
  name: string
  command: string
  id: string | null
  key: string
  version: number | null
  value: Record<string, unknown>
  saved_at: string
  /** The page where it is gone on with, where that is not its command's form. */
  to?: string
}

/** A photo, signature or document that has not been entered yet; `kept_at`: since when. */
export interface Kept {
  sha256: string
  type: string
  bytes: ArrayBuffer
  kept_at: number
}

interface Own extends DBSchema {
  known: { key: string; value: unknown }
  drafts: { key: string; value: Draft }
  outbox: { key: string; value: Waiting }
  files: { key: string; value: Kept }
  rows: { key: [string, string]; value: { view: string; id: string; text: string; row: unknown } }
}

const opened = new Map<string, Promise<IDBPDatabase<Own>>>()

/** The database of whoever is signed in. */
export function database(): Promise<IDBPDatabase<Own>> {
  const { subject } = session.value
  if (!subject) throw new Error("nobody is signed in")
  return databaseOf(subject)
}

function databaseOf(subject: string): Promise<IDBPDatabase<Own>> {
  const known = opened.get(subject)
  if (known) return known
  const fresh = openDB<Own>(`houqin-of-${subject}`, 2, {
    upgrade(made, before) {
      if (before < 1) {
        made.createObjectStore("known")
        made.createObjectStore("drafts", { keyPath: "name" })
        made.createObjectStore("outbox", { keyPath: "key" })
        made.createObjectStore("rows", { keyPath: ["view", "id"] })
      }
      if (before < 2) made.createObjectStore("files", { keyPath: "sha256" })
    },
    // A tab of an older version holds the older database until it is opened anew.
    blocked: tellOtherTabs,
    terminated() {
      opened.delete(subject)
    },
  })
  opened.set(subject, fresh)
  // What could not be opened now may be opened the next time.
  fresh.catch(() => opened.delete(subject))
  return fresh
}

export async function keep(name: string, value: unknown): Promise<void> {
  await (await database()).put("known", value, name)
}

export async function kept<T>(name: string): Promise<T | undefined> {
  return (await (await database()).get("known", name)) as T | undefined
}

/** Removes what the device holds of a person; `unsent`: all but drafts and records not yet entered. */
export async function clear(subject: string, except: "unsent" | "nothing"): Promise<void> {
  const own = await databaseOf(subject)
  const all = own.transaction(["known", "rows", "drafts", "outbox"], "readwrite")
  const outbox = all.objectStore("outbox")
  await all.objectStore("known").clear()
  await all.objectStore("rows").clear()
  if (except === "nothing") {
    await all.objectStore("drafts").clear()
    await outbox.clear()
  }
  for (const record of await outbox.getAll()) {
    if (record.state === "sent") await outbox.delete(record.key)
  }
  await all.done
  await dropUnnamed(own, () => true)
}

/** Removes the files that no draft and no record still to be entered names, of those `due`. */
export async function dropUnnamed(own: IDBPDatabase<Own>, due: (file: Kept) => boolean): Promise<void> {
  const all = own.transaction(["files", "drafts", "outbox"], "readwrite")
  const records = (await all.objectStore("outbox").getAll()).filter((one) => one.state !== "sent")
  const named = hashesIn([records, await all.objectStore("drafts").getAll()])
  const files = all.objectStore("files")
  for (const file of await files.getAll()) {
    if (!named.has(file.sha256) && due(file)) await files.delete(file.sha256)
  }
  await all.done
}
