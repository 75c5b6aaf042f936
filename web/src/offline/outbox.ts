/**
 * Every record that somebody has filled in waits here until the service has answered it. It is
 * written down before it is sent, and its key is as old as the form: whatever breaks, nothing is
 * lost and nothing is entered twice.
 */
import { computed, shallowRef } from "vue"
import { type Problem, Refusal, Unreachable, ask } from "@/api/http"
import { loadSession, session } from "@/api/session"
import { filesIn, forgetFiles } from "@/files/device"
import { sendFiles } from "@/files/sending"
import { drafts } from "./drafts"
import { type Kept, database } from "./store"

export type State = "pending" | "sent" | "refused" | "conflict"

export interface Waiting {
  key: string
  subject: string
  command: string
  label: string
  path: string
  id: string | null
  version: number | null
  unit: string
  /** The unit worked for when it was filled in; it owns the files if the record names no other. */
  unit_id: string
  body: Record<string, unknown>
  /** The thing as it was when the form was opened, to show beside what it is now. */
  seen: Record<string, unknown> | null
  view: string | null
  filled_at: string
  state: State
  tries: number
  problem: Problem | null
  answer: Entered | null
}

/** What a service says of a command that it has taken. */
export interface Entered {
  id: string
  version: number
  row?: Record<string, unknown> | Record<string, unknown>[] | null
}

const SENT_KEPT = 30
const RETRY_S = 10
const RETRY_MAX_S = 300

export const outbox = shallowRef<Waiting[]>([])
export const unsent = computed(() => outbox.value.filter((one) => one.state !== "sent"))
export const pending = computed(() => outbox.value.filter((one) => one.state === "pending"))

const tabs = "BroadcastChannel" in globalThis ? new BroadcastChannel("houqin-outbox") : null
let timer: ReturnType<typeof setTimeout> | undefined
let delay = RETRY_S

/** Begins to send what waits: now, when the network is back, and when the application is opened. */
export async function startOutbox(): Promise<void> {
  addEventListener("online", () => void flush())
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") void flush()
  })
  if (tabs) tabs.onmessage = () => void refresh()
  await refresh()
  await forgetFiles()
  if (pending.value.length) await askToPersist()
  void flush()
}

/** Writes a record down, tries to send it, and says what has become of it. */
export async function submit(record: Waiting): Promise<Waiting> {
  await put(record)
  void askToPersist()
  await flush()
  return (await (await database()).get("outbox", record.key)) ?? record
}

export async function discard(key: string): Promise<void> {
  const gone = outbox.value.find((one) => one.key === key)
  await (await database()).delete("outbox", key)
  await forgetFiles(gone?.body)
  await changed()
}

/** Sends a record again that was in conflict, whatever the thing has become meanwhile. */
export async function sendAnyway(record: Waiting): Promise<void> {
  await put({ ...record, version: null, state: "pending", problem: null })
  await flush()
}

export async function refresh(): Promise<void> {
  const all = await (await database()).getAll("outbox")
  outbox.value = all.sort((a, b) => a.filled_at.localeCompare(b.filled_at))
}

/** Sends what is pending, one after the other, from one tab at a time. */
export async function flush(): Promise<void> {
  clearTimeout(timer)
  if (!session.value.signed_in) return
  const work = async (): Promise<void> => {
    await refresh()
    for (const record of pending.value) {
      if (!(await send(record))) {
        retryLater()
        return
      }
    }
    delay = RETRY_S
    await forgetOldest()
  }
  if (navigator.locks) await navigator.locks.request("houqin-outbox", work)
  else await work()
}

function retryLater(): void {
  timer = setTimeout(() => void flush(), delay * 1000)
  delay = Math.min(2 * delay, RETRY_MAX_S)
}

/** Sends one record; false if it, and with it all later ones, must wait. */
async function send(record: Waiting): Promise<boolean> {
  const headers: Record<string, string> = { "Idempotency-Key": record.key }
  if (record.version !== null) headers["If-Match"] = `"${record.version}"`
  const asked = { method: "POST" as const, body: record.body, headers }
  try {
    if (!session.value.csrf) await loadSession()
    // A record is sent by whoever filled it in, or not at all.
    if (session.value.subject !== record.subject) return false
    await sendFiles(record)
    const { data } = await ask<Entered>(record.path, asked)
    await put({ ...record, state: "sent", answer: data, problem: null, tries: record.tries + 1 })
    await forgetFiles(record.body)
    return true
  } catch (error) {
    if (error instanceof Unreachable) {
      await put({ ...record, tries: record.tries + 1 })
      return false
    }
    if (!(error instanceof Refusal)) throw error
    return await refused(record, error.problem)
  }
}

async function refused(record: Waiting, problem: Problem): Promise<boolean> {
  const tried = { ...record, tries: record.tries + 1 }
  if (problem.slug === "csrf_refused" && record.tries === 0) {
    await loadSession()
    return await send(tried)
  }
  // No decision was made: who asks must sign in, or the service could not tell.
  if ([401, 429].includes(problem.status) || problem.status >= 500) {
    await put({ ...tried, problem })
    return false
  }
  const conflict = record.version !== null && [409, 412].includes(problem.status)
  await put({ ...tried, problem, state: conflict ? "conflict" : "refused" })
  return true
}

async function put(record: Waiting): Promise<void> {
  await (await database()).put("outbox", JSON.parse(JSON.stringify(record)))
  await changed()
}

async function changed(): Promise<void> {
  tabs?.postMessage("changed")
  await refresh()
}

async function forgetOldest(): Promise<void> {
  const sent = outbox.value.filter((one) => one.state === "sent")
  for (const old of sent.slice(0, -SENT_KEPT)) await discard(old.key)
}

/** Whether the browser has promised not to clear away what waits here; null: it does not say. */
export const persisted = shallowRef<boolean | null>(null)

async function askToPersist(): Promise<void> {
  if (!navigator.storage?.persist) return
  persisted.value = (await navigator.storage.persisted()) || (await navigator.storage.persist())
}

/** Saves what waits and what is begun as a file, for whoever cannot send it from here. */
export async function saveUnsent(): Promise<void> {
  const exported_at = new Date().toISOString()
  const { subject } = session.value
  const begun = await drafts()
  const files = await Promise.all((await filesIn([unsent.value, begun])).map(inText))
  const all = { exported_at, subject, records: unsent.value, drafts: begun, files }
  const link = document.createElement("a")
  link.href = URL.createObjectURL(new Blob([JSON.stringify(all, null, 1)], { type: "application/json" }))
  link.download = `houqin-${exported_at.slice(0, 16).replaceAll(":", "")}.json`
  link.click()
  URL.revokeObjectURL(link.href)
}

/** A file as a text that can stand in JSON. */
async function inText({ sha256, type, bytes }: Kept): Promise<{ sha256: string; url: string }> {
  return await new Promise((resolve, reject) => {
    const reader = new FileReader()
    reader.onload = () => resolve({ sha256, url: String(reader.result) })
    reader.onerror = () => reject(reader.error)
    reader.readAsDataURL(new Blob([bytes], { type }))
  })
}
