/** What a portion holds: raw edible grams per head by food group, as the recipes weigh them. */
import type { View } from "@/api/catalogue"
import { Refusal, Unreachable, address, ask } from "@/api/http"
import type { Row } from "@/references"
import type { Planned } from "./week"

const ROWS = 500
const PAGES_MAX = 6

/** Tenths of a gram, so that adding up is exact. */
type Tenths = number

export interface Portion {
  yield: Tenths
  groups: Map<string, Tenths>
}

/** Every dish's portion for one age, by the dish's id; none where it could not be read. */
export async function portionsOf(view: View, unit: string, age: string): Promise<Map<string, Portion>> {
  const found = new Map<string, Portion>()
  let cursor: string | null = ""
  try {
    for (let page = 0; cursor !== null && page < PAGES_MAX; page++) {
      const { data }: { data: { items: Row[]; next: string | null } } = await ask(address(view.path, { unit, age_group: age, limit: ROWS, cursor }))
      for (const row of data.items) weigh(found, row)
      cursor = data.next
    }
  } catch (error) {
    if (!(error instanceof Refusal || error instanceof Unreachable)) throw error
  }
  return found
}

function weigh(found: Map<string, Portion>, row: Row): void {
  const portion = found.get(row.id) ?? { yield: tenths(row.yield_g), groups: new Map<string, Tenths>() }
  const group = String(row.food_group)
  portion.groups.set(group, (portion.groups.get(group) ?? 0) + tenths(row.weight_g))
  found.set(row.id, portion)
}

function tenths(grams: unknown): Tenths {
  return Math.round(Number(grams) * 10)
}

export function grams(value: Tenths): string {
  return `${value / 10} g`
}

/** The dishes of a day together, and those of which no recipe is known for this age. */
export function together(dishes: Planned[], portions: Map<string, Portion>): { groups: Map<string, Tenths>; unweighed: string[] } {
  const groups = new Map<string, Tenths>()
  const unweighed: string[] = []
  for (const one of dishes) {
    const portion = portions.get(one.dish)
    if (!portion) unweighed.push(one.name)
    for (const [group, weight] of portion?.groups ?? []) groups.set(group, (groups.get(group) ?? 0) + weight)
  }
  return { groups, unweighed }
}
