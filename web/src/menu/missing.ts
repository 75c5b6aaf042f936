/** What a meal still lacks while it is planned, by the rule in force; the check itself is the service's. */
import { Refusal, Unreachable, address, ask } from "@/api/http"
import type { Planned } from "./week"

const RULE = "nutrition.menu"

export interface Demand {
  meal: string
  kinds: string[]
  at_least: number
  ages?: string[]
}

interface Rules {
  items: { slug: string; now: { values: { demands?: Demand[] } } | null }[]
}

/** What the unit's meals must offer; nothing where it cannot be asked. */
export async function demandsOf(unit: string): Promise<Demand[]> {
  try {
    const { data } = await ask<Rules>(address("/api/nutrition/rulebook", { unit, slug: RULE }))
    return data.items.find((rule) => rule.slug === RULE)?.now?.values.demands ?? []
  } catch (error) {
    if (error instanceof Refusal || error instanceof Unreachable) return []
    throw error
  }
}

export function missing(demands: Demand[], meal: string, ages: string[], dishes: Planned[]): { kinds: string[]; count: number }[] {
  const held = demands.filter((one) => one.meal === meal && (!one.ages?.length || one.ages.some((age) => ages.includes(age))))
  return held
    .map((one) => ({ kinds: one.kinds, count: one.at_least - dishes.filter((dish) => one.kinds.includes(dish.kind)).length }))
    .filter((one) => one.count > 0)
}
