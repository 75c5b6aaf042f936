/** The texts of administration: they come with its pages, not with every form. */
import { useI18n } from "vue-i18n"
import type { Language } from "@/api/http"
import en from "./words/en.json"
import zh from "./words/zh.json"

export function useTexts() {
  const { t, locale } = useI18n({ messages: { zh, en } })

  /** A text that came in both languages. */
  function said(text: Record<Language, string> | null | undefined): string {
    return text?.[locale.value as Language] ?? ""
  }

  /** A span of time as people say it: the largest unit that it fills. */
  function span(seconds: number): string {
    const steps = [["day", 86_400], ["hour", 3600], ["minute", 60]] as const
    const [unit, size] = steps.find(([, one]) => seconds >= one) ?? (["second", 1] as const)
    const value = seconds / size
    const words = new Intl.NumberFormat(locale.value, { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: value < 10 ? 1 : 0 })
    return words.format(value)
  }

  return { t, locale, said, span }
}
