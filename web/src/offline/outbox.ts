/**
 * Every record that somebody has filled in waits here until the service has answered it. It is
 * written down before it is sent, and its key is as old as the form: whatever breaks, nothing is
 * lost and nothing is entered twice.
 */
import { computed, shallowRef } from "vue"
import { type Problem, Refusal, Unreachable, ask } from "@/api/http"
import { loadSession, session } from "@/api/session"
import { filesIn, forgetFiles } from "@/files/device"
import { saveAs } from "@/files/saved"
import { sendFiles } from "@/files/sending"
import { drafts } from "./drafts"
import { withRoom } from "./room"
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
const ALL = "/"
const NOTHING = ""
/** A fault in the service, which concerns this record and not whatever else it is asked. */
const FAULT = 500
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

/** Whether a record of that key is here, whatever became of it. */
export async function has(key: string): Promise<boolean> {
  return (await (await database()).getKey("outbox", key)) !== undefined
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
    const held = new Set<string>()
    for (const record of pending.value) {
      if (waitsFor(record).some((one) => held.has(one))) continue
      const holds = await send(record)
      if (holds === ALL) return retryLater()
      if (holds) held.add(holds)
    }
    if (held.size) return retryLater()
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

/** By whom a record may be held up: its service, and what else is to be done with the same thing. */
function waitsFor(record: Waiting): string[] {
  return [serviceOf(record), record.id ?? record.key]
}

function serviceOf({ path }: Waiting): string {
  return path.split("/").slice(0, 3).join("/")
}

/** Sends one record; what must wait with it if it could not be: everything, its service, its thing. */
async function send(record: Waiting, again = true): Promise<string> {
  const headers: Record<string, string> = { "Idempotency-Key": record.key }
  if (record.version !== null) headers["If-Match"] = `"${record.version}"`
  const asked = { method: "POST" as const, body: record.body, headers }
  try {
    if (!session.value.csrf) await loadSession()
    // A record is sent by whoever filled it in, or not at all.
    if (session.value.subject !== record.subject) return ALL
    await sendFiles(record)
    const { data } = await ask<Entered>(record.path, asked)
    await put({ ...record, state: "sent", answer: data, problem: null, tries: record.tries + 1 })
    await forgetFiles(record.body)
    return NOTHING
  } catch (error) {
    if (error instanceof Unreachable) {
      await put({ ...record, tries: record.tries + 1 })
      return ALL
    }
    if (!(error instanceof Refusal)) throw error
    // Signed in anew elsewhere: this tab's proof is of the session before.
    if (again && error.problem.slug === "csrf_refused") {
      await loadSession()
      return await send(record, false)
    }
    return await refused({ ...record, tries: record.tries + 1 }, error.problem)
  }
}

async function refused(tried: Waiting, problem: Problem): Promise<string> {
  // No decision was made: who asks must sign in, or the service could not tell.
  if ([401, 429].includes(problem.status) || problem.status >= 500) {
    await put({ ...tried, problem })
    if (problem.status === 401) return ALL
    return problem.status === FAULT ? (tried.id ?? tried.key) : serviceOf(tried)
  }
  const conflict = tried.version !== null && [409, 412].includes(problem.status)
  await put({ ...tried, problem, state: conflict ? "conflict" : "refused" })
  return NOTHING
}

async function put(record: Waiting): Promise<void> {
  await withRoom(async () => (await database()).put("outbox", JSON.parse(JSON.stringify(record))))
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
  const content = new Blob([JSON.stringify(all, null, 1)], { type: "application/json" })
  saveAs(content, `houqin-${exported_at.slice(0, 16).replaceAll(":", "")}.json`)
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
