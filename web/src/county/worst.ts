/** Where things go wrong: each watched figure by unit, and the units that stand out in several. */
import type { Panel } from "@/api/catalogue"
import type { Value } from "@/figures/api"

/** Of those that differ, the last fifth stands out. */
const FIFTH = 0.2

export interface OfUnit {
  id: string
  name: string
  value: Value
}

/** A watched figure of every unit; `bad` says at which end trouble is. */
export interface Watched {
  panel: Panel
  bad: "high" | "low"
  units: OfUnit[]
  /** What stands out: as bad as this or worse; null where all are alike. */
  limit: number | null
}

export interface Standing {
  id: string
  name: string
  values: Value[]
  flags: boolean[]
  flagged: number
}

export function watched(panel: Panel, units: OfUnit[]): Watched {
  const bad = panel.bad ?? "high"
  return { panel, bad, units: inOrder(units, bad), limit: limitOf(units, bad) }
}

/** The worst first; units without a value have nothing to be held against. */
function inOrder(units: OfUnit[], bad: Watched["bad"]): OfUnit[] {
  const way = bad === "high" ? -1 : 1
  return units.filter((one) => one.value !== null).toSorted((a, b) => way * (Number(a.value) - Number(b.value)) || a.name.localeCompare(b.name, "zh"))
}

function limitOf(units: OfUnit[], bad: Watched["bad"]): number | null {
  const order = inOrder(units, bad).map((one) => Number(one.value))
  const [worst, best] = [order[0], order.at(-1)]
  if (worst === undefined || worst === best) return null
  const limit = order[Math.max(0, Math.ceil(order.length * FIFTH) - 1)] ?? worst
  // Where most are as good as can be, whoever is not stands out, and nobody else.
  return limit === best ? (order.findLast((one) => one !== best) ?? worst) : limit
}

export function standsOut({ bad, limit }: Watched, value: Value): boolean {
  if (value === null) return false
  // Where there should be something, nothing at all is wrong, however many share it.
  if (bad === "low" && Number(value) === 0) return true
  if (limit === null) return false
  return bad === "high" ? Number(value) >= limit && Number(value) > 0 : Number(value) <= limit
}

/** The units that stand out in most figures, those first. */
export function standings(all: Watched[], count: number): Standing[] {
  const names = new Map(all.flatMap((one) => one.units.map((unit) => [unit.id, unit.name])))
  const values = all.map((one) => new Map(one.units.map((unit) => [unit.id, unit.value])))
  const made = [...names].map(([id, name]) => {
    const own = values.map((of) => of.get(id) ?? null)
    const flags = own.map((value, n) => standsOut(all[n] as Watched, value))
    return { id, name, values: own, flags, flagged: flags.filter(Boolean).length }
  })
  const troubled = made.filter((one) => one.flagged)
  return troubled.sort((a, b) => b.flagged - a.flagged || a.name.localeCompare(b.name, "zh")).slice(0, count)
}
