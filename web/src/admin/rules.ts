/** Rules as each service has them for a unit. */
import { catalogue } from "@/api/catalogue"
import { type Language, Refusal, Unreachable, address, ask } from "@/api/http"

export interface Line {
  key: string | number
  label?: Record<Language, string>
  text?: Record<Language, string>
  value?: unknown
  lines?: Line[]
}

/** The values of a rule while they are changed, by their path within it (`general.deadline_hours`). */
export interface Changing {
  get: (path: string) => unknown
  set: (path: string, value: unknown) => void
}

export interface Spell {
  first_day: string
  since: string
  region: { id: string | null; name: Record<Language, string> }
  source: Record<Language, string>
  mark: "confirmed" | "to be confirmed"
  shipped: boolean
  values: Record<string, unknown>
  lines: Line[]
}

export interface RuleNow {
  slug: string
  words: Record<Language, string>
  now: Spell | null
  next: Spell | null
  past: Spell[]
}

export interface Book {
  service: string
  label: string
  /** Null where the service does not answer. */
  items: RuleNow[] | null
}

/** One service's rules; with a `slug` one of them with its values. */
export async function rulesOf(service: string, unit: string, slug = "", after = ""): Promise<RuleNow[]> {
  const headers: Record<string, string> = after ? { "Houqin-After": after } : {}
  const { data } = await ask<{ items: RuleNow[] }>(address(`/api/${service}/rulebook`, { unit, slug }), { headers })
  return data.items
}

/** Every service's rules; a refusal is everybody's, a service that is away is only its own. */
export async function everyBook(unit: string): Promise<Book[]> {
  const services = catalogue.value?.services ?? []
  return await Promise.all(services.map(async ({ name, label }) => ({ service: name, label, items: await itemsOf(name, unit) })))
}

async function itemsOf(service: string, unit: string): Promise<RuleNow[] | null> {
  try {
    return await rulesOf(service, unit)
  } catch (error) {
    if (error instanceof Unreachable || (error instanceof Refusal && error.problem.status >= 500)) return null
    throw error
  }
}
