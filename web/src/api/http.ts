/** Requests to the portal: one answer type, and every no as a `Refusal` in both languages. */

export type Language = "zh" | "en"

export interface FieldError {
  field: string
  zh: string
  en: string
}

export interface Problem {
  status: number
  slug: string
  zh: { reason: string; next_step: string }
  en: { reason: string; next_step: string }
  errors: FieldError[]
}

/** The portal or a service said no; `problem` says why and what to do. */
export class Refusal extends Error {
  constructor(readonly problem: Problem) {
    super(problem.slug)
  }
}

/** Nobody answered, or somebody on the way did: whether the request arrived is not known. */
export class Unreachable extends Error {}

export interface Answer<T> {
  status: number
  data: T
  version: number | null
}

interface Asked {
  method?: "GET" | "POST" | "PUT"
  body?: unknown
  /** A file sent as it is, instead of `body`. */
  file?: Blob
  headers?: Record<string, string>
  signal?: AbortSignal
}

/** A line that has come to a standstill says nothing: then it is as good as cut. */
const LIMIT_MS = 30_000

const guard = { csrf: "", whenSignedOut: () => {} }

/** What unsafe requests carry to prove that they come from this application. */
export function carry(csrf: string): void {
  guard.csrf = csrf
}

export function whenSignedOut(act: () => void): void {
  guard.whenSignedOut = act
}

/** The answer to what index.html has asked for before there were scripts; only once. */
export async function early(path: string): Promise<Response | null> {
  const answer = window.early?.[path]
  if (window.early) delete window.early[path]
  return (await answer) ?? null
}

/** Asks the portal; throws `Refusal` for a no, `Unreachable` where nothing certain came back. */
export async function ask<T>(path: string, asked: Asked = {}): Promise<Answer<T>> {
  const { method = "GET", body, file, headers = {}, signal } = asked
  const sent: Record<string, string> = { Accept: "application/json", ...headers }
  if (method !== "GET") sent["Houqin-Csrf"] = guard.csrf
  if (body !== undefined) sent["Content-Type"] = "application/json"
  const limit = new AbortController()
  const timer = setTimeout(() => limit.abort(), LIMIT_MS)
  signal?.addEventListener("abort", () => limit.abort(), { once: true })
  let answer: Response
  let data: unknown
  try {
    const content = file ?? (body === undefined ? null : JSON.stringify(body))
    const begun = method === "GET" ? await early(path) : null
    answer = begun ?? (await fetch(path, { method, headers: sent, signal: limit.signal, body: content }))
    if (answer.status === 304 || answer.status === 204) {
      return { status: answer.status, data: undefined as T, version: null }
    }
    data = await parsed(answer)
  } catch (error) {
    if (signal?.aborted) throw error
    throw new Unreachable(String(error))
  } finally {
    clearTimeout(timer)
  }
  if (answer.ok) return { status: answer.status, data: data as T, version: versionOf(answer) }
  throw refusal(answer.status, data)
}

/** What an answer that is no yes stands for. */
export function refusal(status: number, data: unknown): Refusal | Unreachable {
  const problem = data as Problem | undefined
  if (!problem?.slug) return new Unreachable(`${status}`)
  if (status === 401) guard.whenSignedOut()
  return new Refusal({ ...problem, status, errors: problem.errors ?? [] })
}

/** What `ask` sends along by itself, for requests that are made otherwise. */
export function guarded(): Record<string, string> {
  return { "Houqin-Csrf": guard.csrf }
}

async function parsed(answer: Response): Promise<unknown> {
  if (!answer.headers.get("content-type")?.includes("json")) return undefined
  return await answer.json()
}

function versionOf(answer: Response): number | null {
  const tag = answer.headers.get("etag")?.replace(/^W\//, "").replaceAll('"', "")
  return tag && /^\d+$/.test(tag) ? Number(tag) : null
}

/** `path` with its `{id}` filled in and `query` behind it; what is empty is left out. */
export function address(
  path: string,
  query: Record<string, string | number | null | undefined> = {},
  id?: string,
): string {
  const whole = id === undefined ? path : path.replace("{id}", encodeURIComponent(id))
  const pairs = Object.entries(query).filter(([, value]) => value !== null && value !== undefined)
  const kept = pairs.filter(([, value]) => value !== "").map(([name, value]) => [name, `${value}`])
  return kept.length ? `${whole}?${new URLSearchParams(kept as string[][])}` : whole
}
