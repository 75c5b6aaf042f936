/** Posts and delegations as organisation's lists have them, and how they stand on a day. */
import { catalogue } from "@/api/catalogue"
import { address, ask } from "@/api/http"
import { businessDay } from "@/format"

export interface Span {
  since: string
  last_day: string | null
}

export interface PostHeld extends Span {
  id: string
  key: string
  organisation: string
  post: string
  person: string
  role: string
  lent_to: string
  lent_last_day: string | null
}

export interface Lent extends Span {
  id: string
  organisation: string
  delegation: string
  person: string
  borrower: string
  role: string
  reason: string
}

export type Standing = "running" | "coming" | "over"

const PAGE = 500
/** A page of administration shows at most so many; beyond that one narrows the unit. */
const SHOWN_MAX = 5_000
const DAY_MS = 86_400_000

/** How something from-to stands on a day. Of one without a last day there is no end. */
export function standing(span: Span, today = businessDay()): Standing {
  if (span.last_day !== null && (span.last_day < today || span.last_day < span.since)) return "over"
  return span.since > today ? "coming" : "running"
}

/** So many days from today to that one. */
export function daysTo(day: string): number {
  return Math.round((Date.parse(day) - Date.parse(businessDay())) / DAY_MS)
}

/** Every row of a list, page by page, with what position they are at least as new as. */
export async function rowsOf<T>(view: string, query: Record<string, string>, after = ""): Promise<T[]> {
  const path = catalogue.value?.views[view]?.path
  const rows: T[] = []
  let cursor: string | null = ""
  while (path && cursor !== null && rows.length < SHOWN_MAX) {
    const headers: Record<string, string> = after ? { "Houqin-After": after } : {}
    const asked: string = address(path, { ...query, limit: PAGE, cursor })
    const { data } = await ask<{ items: T[]; next: string | null }>(asked, { headers })
    rows.push(...data.items)
    cursor = data.next
  }
  return rows
}
