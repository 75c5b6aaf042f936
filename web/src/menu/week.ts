/** A week's menu as it is planned on the board: which dishes at which meal of which day. */
import type { Field } from "@/api/catalogue"
import type { Row } from "@/references"

export interface Planned {
  dish: string
  name: string
  kind: string
  meat_share: string
  allergens: string[]
}

/** `2026-11-16 lunch` → its dishes, in the order in which they are written on the board. */
export type Plan = Record<string, Planned[]>

/** A place on the board. */
export interface Spot {
  day: string
  meal: string
}

/** What a dish of the board is found by: at one meal it stands once. */
export interface Standing extends Spot {
  dish: string
}

const DAY_MS = 86_400_000
const DAYS = 7
/** What a school cooks on, unless something is planned for the week-end. */
const SCHOOL_DAYS = 5
/** The meals that a board begins with, unless another is planned. */
const USUAL = ["lunch"]

/** The address of a canteen's board. */
export function boardOf(week: string, canteen: string): string {
  return `/menu/${week}${canteen && `/${encodeURIComponent(canteen)}`}`
}

export function cell({ day, meal }: Spot): string {
  return `${day} ${meal}`
}

export function addDays(day: string, days: number): string {
  return new Date(Date.parse(`${day}T00:00:00Z`) + days * DAY_MS).toISOString().slice(0, 10)
}

/** The Monday of the week in which a day lies. */
export function mondayOf(day: string): string {
  const weekday = (new Date(`${day}T00:00:00Z`).getUTCDay() + 6) % DAYS
  return addDays(day, -weekday)
}

/** The days to show: those on which there is school, and the week-end if something is planned. */
export function daysOf(week: string, plan: Plan, all: boolean): string[] {
  const days = Array.from({ length: DAYS }, (_, n) => addDays(week, n))
  const last = days.findLastIndex((day) => Object.keys(plan).some((one) => one.startsWith(day) && plan[one]?.length))
  return all ? days : days.slice(0, Math.max(SCHOOL_DAYS, last + 1))
}

/** The meals to show, in the service's order: lunch, those that are planned, those asked for. */
export function mealsOf(options: Field["options"], plan: Plan, added: string[]): { value: string; label: string }[] {
  const planned = Object.keys(plan).filter((one) => plan[one]?.length).map((one) => one.split(" ")[1])
  const shown = new Set([...USUAL, ...planned, ...added])
  return (options ?? []).filter((one) => shown.has(String(one.value))).map((one) => ({ value: String(one.value), label: one.label }))
}

/** What the service's rows say of a version. */
export function planOf(rows: Row[]): Plan {
  const plan: Plan = {}
  for (const row of rows.toSorted((a, b) => String(a.key).localeCompare(String(b.key)))) {
    const spot = cell({ day: String(row.day), meal: String(row.meal) })
    plan[spot] = [...(plan[spot] ?? []), { dish: String(row.dish), name: String(row.dish_name), kind: String(row.dish_kind), meat_share: String(row.meat_share), allergens: row.allergens as string[] }]
  }
  return plan
}

/** The plan as the commands want it: days and meals in order, none of them empty. */
export function daysPlanned(plan: Plan): object[] {
  const spots = Object.keys(plan).filter((one) => plan[one]?.length).sort()
  const days = [...new Set(spots.map((one) => one.slice(0, 10)))]
  return days.map((day) => ({
    day,
    meals: spots.filter((one) => one.startsWith(day)).map((one) => ({ meal: one.slice(11), dishes: plan[one]?.map((two) => two.dish) })),
  }))
}

export function isSame(a: Plan, b: Plan): boolean {
  return JSON.stringify(daysPlanned(a)) === JSON.stringify(daysPlanned(b))
}

/** With one more dish at a meal; one that stands there already stays where it is. */
export function withDish(plan: Plan, spot: Spot, dish: Planned): Plan {
  const there = plan[cell(spot)] ?? []
  return there.some((one) => one.dish === dish.dish) ? plan : { ...plan, [cell(spot)]: [...there, dish] }
}

export function without(plan: Plan, { dish, ...spot }: Standing): Plan {
  return { ...plan, [cell(spot)]: (plan[cell(spot)] ?? []).filter((one) => one.dish !== dish) }
}

/** A dish taken from where it stands to another meal, or to another place in its own. */
export function moved(plan: Plan, from: Standing, to: Spot, place = Infinity): Plan {
  const dish = plan[cell(from)]?.find((one) => one.dish === from.dish)
  if (!dish) return plan
  const there = without(plan, from)
  const rest = (there[cell(to)] ?? []).filter((one) => one.dish !== from.dish)
  return { ...there, [cell(to)]: rest.toSpliced(place, 0, dish) }
}

/** Last week's dishes on the same weekdays. */
export function shiftedBy(plan: Plan, days: number): Plan {
  return Object.fromEntries(Object.entries(plan).map(([spot, dishes]) => [`${addDays(spot.slice(0, 10), days)}${spot.slice(10)}`, dishes]))
}
