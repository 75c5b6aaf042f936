/** Figures as reporting answers them, and periods in its words. */
import type { components } from "@/api/generated/reporting"
import { address, ask } from "@/api/http"
import { businessDay, grouped } from "@/format"

type Schemas = components["schemas"]
export type Figures = Schemas["FiguresAnswer"]
export type OneFigure = Schemas["OneOfSeveral"]
export type Figure = Schemas["FigureAnswer"]
export type Ranking = Schemas["RankingAnswer"]
export type Behind = Schemas["EventsAnswer"]
export type Check = Schemas["CheckAnswer"]
export type MeasureWords = Schemas["MeasureWords"]
export type Value = number | string | null

const ROOT = "/api/reporting"
const DAY_MS = 86_400_000

interface Asked {
  unit: string
  period: string
  dims?: string
}

export async function figures(measures: string[], asked: Asked): Promise<Figures> {
  return (await ask<Figures>(address(`${ROOT}/figures`, { ...asked, measures: measures.join(",") }))).data
}

export async function figure(measure: string, asked: Asked): Promise<Figure> {
  return (await ask<Figure>(address(`${ROOT}/figures/${measure}`, { ...asked }))).data
}

export async function ranking(measure: string, level: string, asked: Asked): Promise<Ranking> {
  return (await ask<Ranking>(address(`${ROOT}/rankings/${measure}`, { ...asked, level, limit: 500 }))).data
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

/** The same length of time just before, for comparison. */
export function before(period: { first: string; last: string }): string {
  const first = new Date(`${period.first}T00:00:00Z`)
  const last = new Date(`${period.last}T00:00:00Z`)
  const months = wholeMonths(first, last)
  if (months) {
    const from = new Date(Date.UTC(first.getUTCFullYear(), first.getUTCMonth() - months, 1))
    return `${iso(from)}..${iso(new Date(first.valueOf() - DAY_MS))}`
  }
  const length = last.valueOf() - first.valueOf() + DAY_MS
  return `${iso(new Date(first.valueOf() - length))}..${iso(new Date(first.valueOf() - DAY_MS))}`
}

function wholeMonths(first: Date, last: Date): number {
  const next = new Date(last.valueOf() + DAY_MS)
  if (first.getUTCDate() !== 1 || next.getUTCDate() !== 1) return 0
  return (next.getUTCFullYear() - first.getUTCFullYear()) * 12 + next.getUTCMonth() - first.getUTCMonth()
}

function iso(day: Date): string {
  return day.toISOString().slice(0, 10)
}

/** The periods that are offered: the current ones, and the years that there may be figures of. */
export function currentPeriods(): { month: string; year: string; schoolYear: string } {
  const [year = "", month = ""] = businessDay().split("-")
  const began = Number(month) >= 9 ? Number(year) : Number(year) - 1
  return { month: `${year}-${month}`, year, schoolYear: `${began}/${began + 1}` }
}
