/** A form's value: how it begins, what is wrong with it as it stands, and the command it makes. */
import type { Field } from "@/api/catalogue"
import { isFile, momentOf } from "@/format"

export type Value = Record<string, unknown>
export type Errors = Record<string, string>
export type Say = (key: string, values?: Record<string, unknown>) => string

/** The fields as they begin: what the link gives, else what the service would take by itself. */
export function begun(fields: Field[], given: Value = {}): Value {
  return Object.fromEntries(fields.map((field) => [field.name, given[field.name] ?? initial(field)]))
}

function initial(field: Field): unknown {
  switch (field.kind) {
    case "object":
      return begun(field.fields ?? [])
    case "list":
      return field.required && field.item?.kind === "object" ? [initial(field.item)] : []
    case "boolean":
      return field.default ?? (field.required ? false : null)
    default:
      return field.default ?? ""
  }
}

/** An empty item of a list. */
export function emptyItem(list: Field): unknown {
  return list.item ? initial(list.item) : ""
}

export function isEmpty(value: unknown): boolean {
  if (value === null || value === undefined || value === "") return true
  if (Array.isArray(value)) return value.every(isEmpty)
  return typeof value === "object" && Object.values(value).every(isEmpty)
}

/** The command as the service wants it; what is empty is left to its own default. */
export function assembled(fields: Field[], value: Value): Value {
  const made: Value = {}
  for (const field of fields) {
    const one = value[field.name]
    if (isEmpty(one)) continue
    made[field.name] = converted(field, one)
  }
  return made
}

function converted(field: Field, value: unknown): unknown {
  switch (field.kind) {
    case "integer":
      return Number(value)
    case "choice":
      return field.options?.find((one) => String(one.value) === String(value))?.value ?? value
    case "decimal":
      return String(value).trim()
    case "datetime":
      return momentOf(String(value))
    case "object":
      return assembled(field.fields ?? [], value as Value)
    case "list":
      return (value as unknown[])
        .filter((one) => !isEmpty(one))
        .map((one) => (field.item ? converted(field.item, one) : one))
    case "any":
    case "union":
      return typeof value === "string" ? parsedOr(value) : value
    default:
      return typeof value === "string" ? value.trim() : value
  }
}

function parsedOr(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** What is wrong, by the field's path (`lines.0.quantity`), counting rows as they stand here. */
export function wrong(fields: Field[], value: Value, say: Say, path = ""): Errors {
  const found: Errors = {}
  for (const field of fields) {
    Object.assign(found, wrongField(field, value[field.name], say, path + field.name))
  }
  return found
}

function wrongField(field: Field, value: unknown, say: Say, path: string): Errors {
  if (isEmpty(value)) return field.required ? { [path]: say(due(field)) } : {}
  if (field.kind === "object") return wrong(field.fields ?? [], value as Value, say, `${path}.`)
  if (field.kind === "list") return wrongList(field, value as unknown[], say, path)
  const text = String(value).trim()
  const reason = wrongText(field, text, say)
  return reason ? { [path]: reason } : {}
}

function wrongList(field: Field, items: unknown[], say: Say, path: string): Errors {
  const full = fullRows(items)
  const least = field.min_items ?? 0
  if (full.length < least) return { [path]: say("wrong.few", { count: least }) }
  const most = field.max_items
  if (most !== undefined && full.length > most) return { [path]: say("wrong.many", { count: most }) }
  const item = field.item
  if (!item) return {}
  return Object.assign({}, ...full.map((n) => wrongField(item, items[n], say, `${path}.${n}`)))
}

/** What the service found wrong, at the rows as they stand here: it was never sent the empty ones. */
export function placed(errors: Errors, value: Value): Errors {
  return Object.fromEntries(Object.entries(errors).map(([path, text]) => [placeOf(path, value), text]))
}

function placeOf(path: string, value: unknown): string {
  let at = value
  const parts = path.split(".").map((part) => {
    const place = Array.isArray(at) ? String(fullRows(at)[Number(part)] ?? part) : part
    at = (at as Value | null | undefined)?.[place]
    return place
  })
  return parts.join(".")
}

/** Where a list's items are that are not empty. */
function fullRows(items: unknown[]): number[] {
  return [...items.keys()].filter((n) => !isEmpty(items[n]))
}

function wrongText(field: Field, text: string, say: Say): string {
  if (field.kind === "integer" && !/^-?\d+$/.test(text)) return say("wrong.integer")
  if (field.kind === "decimal" && !/^-?\d+(\.\d+)?$/.test(text)) return say("wrong.decimal")
  if (field.kind === "decimal" && decimals(text) > (field.scale ?? Infinity)) {
    return say("wrong.scale", { scale: field.scale })
  }
  if (field.kind === "integer" || field.kind === "decimal") return wrongBound(field, text, say)
  const length = [...text].length
  if (length < (field.min_length ?? 0)) return say("wrong.short", { count: field.min_length })
  if (length > (field.max_length ?? Infinity)) return say("wrong.long", { count: field.max_length })
  if (field.pattern && !new RegExp(field.pattern, "u").test(text)) {
    return field.help || say("wrong.pattern", { example: field.example ?? field.pattern })
  }
  return ""
}

/** Bounds are told apart by their size alone, so a float is exact enough here. */
function wrongBound(field: Field, text: string, say: Say): string {
  const number = Number(text)
  const { min, max, above, below } = field
  if (min !== undefined && number < Number(min)) return say("wrong.min", { bound: min })
  if (max !== undefined && number > Number(max)) return say("wrong.max", { bound: max })
  if (above !== undefined && number <= Number(above)) return say("wrong.above", { bound: above })
  if (below !== undefined && number >= Number(below)) return say("wrong.below", { bound: below })
  return ""
}

function decimals(text: string): number {
  return (text.split(".")[1] ?? "").length
}

function due(field: Field): string {
  if (isFile(field)) return "files.due"
  return ["choice", "ref", "date", "datetime"].includes(field.kind) ? "wrong.choose" : "wrong.empty"
}

/** Fields in the order of the form: the late entry's moment, and what nobody need fill, apart. */
export function arranged(fields: Field[]): { main: Field[]; late: Field[] } {
  const shown = fields.filter((field) => field.kind !== "id")
  return {
    main: shown.filter((field) => field.name !== "occurred_at"),
    late: shown.filter((field) => field.name === "occurred_at"),
  }
}
