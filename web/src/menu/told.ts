/** The board's words: days, kinds, allergens and findings as people read them. */
import { useI18n } from "vue-i18n"
import { type Field, catalogue } from "@/api/catalogue"
import { grouped } from "@/format"
import { useWords } from "@/lists/words"
import type { Row } from "@/references"

export function columnOf(view: string, name: string): Field | undefined {
  return catalogue.value?.views[view]?.columns.find((column) => column.name === name)
}

export function useTold() {
  const { locale } = useI18n()
  const { text } = useWords()

  function said(view: string, name: string, value: unknown): string {
    const column = columnOf(view, name)
    return column ? text(column, value) : ""
  }

  const weekday = (day: string): string => new Intl.DateTimeFormat(locale.value, { weekday: "short", timeZone: "UTC" }).format(Date.parse(day))
  const date = (day: string): string => new Intl.DateTimeFormat(locale.value, { month: "numeric", day: "numeric", timeZone: "UTC" }).format(Date.parse(day))
  const meal = (value: string): string => said("menu_board", "meal", value)
  const kind = (value: string): string => said("menu_board", "dish_kind", value)
  const kinds = (values: unknown): string => said("menu_findings", "dish_kinds", values)
  const allergens = (values: string[]): string => said("menu_board", "allergens", [...new Set(values)])
  const group = (value: string): string => said("dish_ingredients", "food_group", value)
  const age = (value: string): string => said("dish_ingredients", "age_group", value)

  /** `菜品不足：荤菜 1 / 2`, `周期内重复：红烧肉 2 / 1`. */
  function finding(row: Row): string {
    const subject = row.subject ? age(String(row.subject)) || String(row.subject) : ""
    const about = [row.dish_name, kinds(row.dish_kinds), subject].filter(Boolean).join(" ")
    const numbers = row.wanted === null ? "" : `${grouped(trimmed(row.found))} / ${grouped(trimmed(row.wanted))}`
    return [said("menu_findings", "finding", row.finding), [about, numbers].filter(Boolean).join(" ")].filter(Boolean).join(locale.value === "zh" ? "：" : ": ")
  }

  return { weekday, date, meal, kind, kinds, allergens, group, age, finding }
}

function trimmed(decimal: unknown): string {
  return String(Number(decimal))
}
