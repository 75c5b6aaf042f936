// What somebody would fill in, made from a form's own fields: first what the schema gives as an
// example, else what its limits allow. Knows no capability.

const TEXT = "Trial"
/** Tried in this order against a field's pattern. */
const WORDS = [TEXT, "somebody", "test.rule", "2026-1", "A02010105", "2026-01", "ab".repeat(32)]
const DAY_MS = 86_400_000

export const isHidden = (field) => field.kind === "id" || field.name === "occurred_at"
/** What is filled in already: the unit that one works for. */
const GIVEN = { organisation: true }

/** A day in business time, so many days from now. */
export const day = (days = 0) => new Date(Date.now() + 8 * 3_600_000 + days * DAY_MS).toISOString().slice(0, 10)

/** The steps that fill in a form: `{path, act, value}`, what is required and plain texts besides.
 * `own`: values by path, null for what is left as it is. */
export function steps(fields, own = {}, prefix = "") {
  return fields.filter((field) => !isHidden(field)).flatMap((field) => stepsOf(field, prefix + field.name, own))
}

function stepsOf(field, path, own) {
  if (own[path] === null || (field.name in GIVEN && !(path in own))) return []
  const due = field.required || path in own
  if (field.kind === "object") return due ? steps(field.fields, own, `${path}.`) : []
  if (field.kind === "list") return due ? ofList(field, path, own) : []
  const plain = ["text", "longtext"].includes(field.kind) && !field.pattern
  return due || plain ? [step(field, path, own)] : []
}

function ofList({ item }, path, own) {
  if (item.kind === "object") return steps(item.fields, own, `${path}.0.`)
  if (["choice", "ref", "file"].includes(item.kind)) return [step(item, path, own)]
  return [{ path, act: "add" }, step(item, `${path}.0`, own)]
}

function step(field, path, own) {
  const act = { ref: "pick", file: "file", choice: "choose", boolean: "choose" }[field.kind] ?? "type"
  return { path, act, value: own[path] ?? valueOf(field) ?? null }
}

function valueOf(field) {
  if (field.example !== undefined) return String(field.example)
  switch (field.kind) {
    case "integer":
    case "decimal":
      return String(numberOf(field))
    case "date":
      return day()
    case "datetime":
      return `${day(1)}T08:00`
    case "time":
      return "08:00"
    case "any":
    case "union":
      return "{}"
    case "text":
    case "longtext":
      return textOf(field)
    default:
      return undefined
  }
}

/** A number that reads as a year is this one; else the least that is allowed, and not nought. */
function numberOf({ min, max, above }) {
  const year = new Date().getFullYear()
  if (Number(min) > 1000 && year <= Number(max ?? Infinity)) return year
  return Math.max(1, Number(min ?? above ?? 1))
}

function textOf({ pattern, min_length = 0 }) {
  const fits = new RegExp(pattern ?? "", "u")
  const found = WORDS.find((word) => fits.test(word) && word.length >= min_length)
  return found ?? TEXT.repeat(min_length)
}
