/**
 * Colours for units by a figure: one hue from pale to dark, told apart by lightness alone, so that
 * whoever cannot see the hue reads them as well; each with the numbers that it stands for.
 */
import type { Value } from "./api"

export interface Placed {
  id: string
  name: string
  value: Value
}

export interface Shade {
  ground: string
  ink: string
}

export interface Class extends Shade {
  from: number
  to: number
  units: number
}

const DARK = "#ffffff"
const LIGHT = "#16262a"
const SHADES: Shade[] = [
  { ground: "#e2f1ee", ink: LIGHT },
  { ground: "#bfe0da", ink: LIGHT },
  { ground: "#8cc7be", ink: LIGHT },
  { ground: "#157a71", ink: DARK },
  { ground: "#07534d", ink: DARK },
]
export const NONE: Shade = { ground: "#eaf0ed", ink: "#4a5c5f" }

/** By rank, not by size, so that one giant does not leave all others pale; equals are alike. */
export function classesOf(units: Placed[]): Class[] {
  const numbers = units.flatMap((one) => (one.value === null ? [] : [Number(one.value)]))
  const order = [...new Set(numbers)].sort((a, b) => a - b)
  const wanted = Math.min(SHADES.length, order.length)
  const made: Class[] = []
  for (let n = 0; n < wanted; n++) {
    const part = order.slice(Math.round((n * order.length) / wanted), Math.round(((n + 1) * order.length) / wanted))
    const [from, to] = [part[0] ?? 0, part.at(-1) ?? 0]
    const shade = SHADES[wanted === 1 ? 0 : Math.round((n * (SHADES.length - 1)) / (wanted - 1))] as Shade
    made.push({ ...shade, from, to, units: numbers.filter((one) => one >= from && one <= to).length })
  }
  return made
}

export function shadeOf(value: Value, classes: Class[]): Shade {
  if (value === null) return NONE
  return classes.find((one) => Number(value) >= one.from && Number(value) <= one.to) ?? NONE
}

/** In order, the highest first; those without a value last. Equal ones share a place. */
export function ranked(units: Placed[]): (Placed & { place: number | null })[] {
  const order = units.toSorted((a, b) => weight(b.value) - weight(a.value) || a.name.localeCompare(b.name, "zh"))
  return order.map((one) => ({ ...one, place: one.value === null ? null : 1 + order.filter((other) => weight(other.value) > weight(one.value)).length }))
}

function weight(value: Value): number {
  return value === null ? -Infinity : Number(value)
}
