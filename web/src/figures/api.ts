/** Figures as reporting answers them, and what is said of them. */
import type { components } from "@/api/generated/reporting"
import { address, ask } from "@/api/http"
import { businessDay, grouped } from "@/format"

type Schemas = components["schemas"]
export type Dashboard = Schemas["DashboardAnswer"]
export type OneCompared = Schemas["OneCompared"]
export type Behind = Schemas["EventsAnswer"]
export type Check = Schemas["CheckAnswer"]
export type MeasureWords = Schemas["MeasureWords"]
export type Value = number | string | null

const ROOT = "/api/reporting"
/** How many figures are answered at once. */
export const FIGURES_MAX = 40

interface Asked {
  unit: string
  period: string
  dims?: string
}

interface Board extends Asked {
  level?: string
  by_unit?: string
}

/** All that a page about a unit's figures shows, in one request. */
export async function dashboard(measures: string[], asked: Board): Promise<Dashboard> {
  const names = measures.slice(0, FIGURES_MAX).join(",")
  return (await ask<Dashboard>(address(`${ROOT}/dashboards`, { ...asked, measures: names }))).data
}

export async function behind(measure: string, asked: Asked, cursor = ""): Promise<Behind> {
  return (await ask<Behind>(address(`${ROOT}/figures/${measure}/events`, { ...asked, cursor }))).data
}

export async function check(measure: string, asked: Asked): Promise<Check> {
  return (await ask<Check>(address(`${ROOT}/figures/${measure}/check`, { ...asked }))).data
}

/** A value for people; a ratio as per cent, nothing where there is no denominator. */
export function shownValue(value: Value | undefined, measure: MeasureWords): string {
  if (value === null || value === undefined) return "–"
  if (measure.unit === "share") return `${(Number(value) * 100).toFixed(1)} %`
  if (measure.ratio) return grouped(Number(value).toFixed(1))
  return grouped(String(value))
}

export function isNought(value: Value | undefined): boolean {
  return value === null || value === undefined || Number(value) === 0
}

export interface Change {
  way: -1 | 0 | 1
  /** Per cent, of a share per cent points; nothing to be divided by: null. */
  by: string | null
  points: boolean
}

/** How a value stands to another; null where one of them is missing. */
export function changeOf(now: Value, then: Value, measure: MeasureWords): Change | null {
  if (now === null || then === null) return null
  const [a, b] = [Number(now), Number(then)]
  const way = Math.sign(a - b) as Change["way"]
  const points = measure.unit === "share"
  if (points) return { way, by: signed((a - b) * 100), points }
  return { way, by: b === 0 ? null : signed(((a - b) / Math.abs(b)) * 100), points }
}

function signed(number: number): string {
  return `${number > 0 ? "+" : ""}${number.toFixed(1)}`
}

/** The periods that are offered: the current ones, and the years that there may be figures of. */
export function currentPeriods(): { month: string; year: string; schoolYear: string } {
  const [year = "", month = ""] = businessDay().split("-")
  const began = Number(month) >= 9 ? Number(year) : Number(year) - 1
  return { month: `${year}-${month}`, year, schoolYear: `${began}/${began + 1}` }
}
