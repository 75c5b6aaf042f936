/** What the browser keeps: drafts, the outbox, and what was last known of the platform. */
import { type DBSchema, type IDBPDatabase, openDB } from "idb"
import type { Waiting } from "./outbox"

export interface Draft {
  name: string
  subject: string
  key: string
  version: number | null
  value: Record<string, unknown>
  saved_at: string
}

interface Houqin extends DBSchema {
  known: { key: string; value: unknown }
  drafts: { key: string; value: Draft }
  outbox: { key: string; value: Waiting; indexes: { subject: string } }
  rows: { key: [string, string]; value: { view: string; id: string; text: string; row: unknown } }
}

let opened: Promise<IDBPDatabase<Houqin>> | null = null

export function database(): Promise<IDBPDatabase<Houqin>> {
  opened ??= openDB<Houqin>("houqin", 1, {
    upgrade(made) {
      made.createObjectStore("known")
      made.createObjectStore("drafts", { keyPath: "name" })
      made.createObjectStore("outbox", { keyPath: "key" }).createIndex("subject", "subject")
      made.createObjectStore("rows", { keyPath: ["view", "id"] })
    },
    terminated() {
      opened = null
    },
  })
  return opened
}

export async function keep(name: string, value: unknown): Promise<void> {
  await (await database()).put("known", JSON.parse(JSON.stringify(value)), name)
}

export async function kept<T>(name: string): Promise<T | undefined> {
  return (await (await database()).get("known", name)) as T | undefined
}

export async function forget(name: string): Promise<void> {
  await (await database()).delete("known", name)
}
