/** Values as people read them: business time, decimals as they are written, ages in words. */
import type { Field } from "@/api/catalogue"

const ZONE = "Asia/Shanghai"
const MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d/

const stamp = new Intl.DateTimeFormat("sv-SE", {
  timeZone: ZONE, dateStyle: "short", timeStyle: "short",
}) // prettier-ignore

/** A moment in business time, `2026-11-21 09:30`. */
export function shownMoment(text: string): string {
  const moment = new Date(text)
  return Number.isNaN(moment.valueOf()) ? text : stamp.format(moment)
}

/** What a `datetime-local` input holds, as a moment with its zone: business time has no summer. */
export function momentOf(text: string): string {
  return /[Z+]/.test(text) ? text : `${text.length === 16 ? `${text}:00` : text}+08:00`
}

/** A moment as a `datetime-local` input holds it; what has no zone is as it was typed. */
export function typedMoment(text: string): string {
  return /[Z+]/.test(text) ? shownMoment(text).replace(" ", "T") : text
}

/** Today's business day, `2026-11-21`. */
export function businessDay(moment = new Date()): string {
  return stamp.format(moment).slice(0, 10)
}

/** A decimal with thousands set apart; its digits stay as they are. */
export function grouped(text: string): string {
  const [whole = "", rest] = text.split(".")
  const parted = whole.replace(/\B(?=(\d{3})+(?!\d))/g, ",")
  return rest === undefined ? parted : `${parted}.${rest}`
}

/** How long ago in words. */
export function age(text: string, language: string): string {
  const minutes = Math.round((Date.parse(text) - Date.now()) / 60_000)
  const words = new Intl.RelativeTimeFormat(language, { numeric: "auto" })
  if (Math.abs(minutes) < 60) return words.format(minutes, "minute")
  if (Math.abs(minutes) < 48 * 60) return words.format(Math.round(minutes / 60), "hour")
  return words.format(Math.round(minutes / 1440), "day")
}

interface Words {
  yes: string
  no: string
  names: (id: string) => string | undefined
  files: (count: number) => string
}

/** A value of a field as one text; lists with a separator, nothing for nothing. */
export function shown(field: Field, value: unknown, words: Words): string {
  if (value === null || value === undefined || value === "") return ""
  if (isFile(field)) return words.files([value].flat().length)
  if (Array.isArray(value)) {
    const item = field.item ?? { ...field, kind: "any" as const }
    return value.map((one) => shown(item, one, words)).filter(Boolean).join("、")
  }
  if (typeof value === "object") return shownObject(field, value as Record<string, unknown>, words)
  if (typeof value === "boolean") return value ? words.yes : words.no
  const text = String(value)
  const option = field.options?.find((one) => String(one.value) === text)
  if (option) return option.label
  if (field.kind === "decimal" || field.kind === "integer") return grouped(text)
  if (MOMENT.test(text)) return shownMoment(text)
  return words.names(text) ?? text
}

function shownObject(field: Field, value: Record<string, unknown>, words: Words): string {
  const labels = new Map(field.fields?.map((one) => [one.name, one]))
  const parts = Object.entries(value).map(([name, one]) => {
    const part = labels.get(name) ?? { name, label: name, kind: "any", required: false, nullable: true }
    const text = shown(part as Field, one, words)
    return text && `${part.label} ${text}`
  })
  return parts.filter(Boolean).join("，")
}

/** Whether a field holds photos, a signature or a document. */
export function isFile(field: Field): boolean {
  return (field.kind === "list" ? field.item?.kind : field.kind) === "file"
}

/** Whether a column's values stand better at the right edge. */
export function isNumber(field: Field): boolean {
  return field.kind === "decimal" || field.kind === "integer"
}
