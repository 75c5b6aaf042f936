/** Who did what when, as the portal puts it together from all services. */
import { catalogue } from "@/api/catalogue"
import { type Language, address, ask } from "@/api/http"

export interface Entry {
  service: string
  position: string
  id: string
  type: string
  words: Record<Language, string>
  aggregate: string
  stream: string
  version: number
  organisation: { id: string; name: string }
  actor: string
  occurred_at: string
  recorded_at: string
}

export interface Trail {
  items: Entry[]
  next: string | null
  /** Down to when every service has been looked through; null: to its beginning. */
  reached: string | null
  away: string[]
}

export type Question = Record<"unit" | "person" | "kind" | "service" | "stream" | "since" | "until", string>

/** So many answers are asked for in a row while nothing is found: then its reader decides. */
const EMPTY_MAX = 10

/** The next entries. A service looks through a part of its log at a time, so that a page may be empty. */
export async function trailAfter(question: Question, cursor: string): Promise<Trail> {
  let found: Trail = { items: [], next: cursor || null, reached: null, away: [] }
  for (let n = 0; n < EMPTY_MAX; n += 1) {
    const path = address("/portal/audit", { ...question, cursor: found.next ?? "" })
    found = (await ask<Trail>(path)).data
    if (found.items.length || found.next === null || found.away.length) break
  }
  return found
}

/** The page of the thing that an entry is about, if one may see it. */
export function pageOf({ service, aggregate, stream }: Entry): string | null {
  const kinds = catalogue.value?.services.find((one) => one.name === service)?.aggregates
  const views = kinds?.find((one) => one.name === aggregate)?.views ?? []
  const view = views.find((name) => catalogue.value?.views[name]?.may)
  return view ? `/list/${view}/${stream}` : null
}

export function kindOf({ service, aggregate }: Entry): string {
  const kinds = catalogue.value?.services.find((one) => one.name === service)?.aggregates
  return kinds?.find((one) => one.name === aggregate)?.label ?? aggregate
}
