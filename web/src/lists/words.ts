/** Values of a view's columns as people read them, with the names of what they refer to. */
import { useI18n } from "vue-i18n"
import type { Field, View } from "@/api/catalogue"
import { shown } from "@/format"
import { type Row, nameOf } from "@/references"

export function useWords() {
  const { t } = useI18n()

  function text(column: Field, value: unknown): string {
    const to = column.ref ?? column.item?.ref
    // An id says nothing to anybody: until the name is there, that there is one.
    const names = (id: string): string | undefined => nameOf(id, to) ?? (to?.view && to.value === "id" ? "…" : undefined)
    const files = (count: number): string => (count ? t("files.has", count) : "")
    return shown(column, value, { yes: t("yes"), no: t("no"), names, files })
  }

  /** What a row says beyond its title, column by column; what is empty is left out. */
  function facts(view: View, columns: Field[], row: Row): { label: string; text: string; column: Field }[] {
    const rest = columns.filter((column) => !view.title.includes(column.name))
    return rest.map((column) => ({ column, label: column.label, text: text(column, row[column.name]) })).filter((fact) => fact.text)
  }

  return { text, facts }
}
