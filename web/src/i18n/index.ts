/** The application's own texts; what the platform can do is named by the catalogue. */
import { createI18n } from "vue-i18n"
import { loadCatalogue } from "@/api/catalogue"
import type { Language } from "@/api/http"
import { session, speak } from "@/api/session"
import zh from "./zh.json"

export const i18n = createI18n({ legacy: false, locale: "zh", fallbackLocale: false, messages: {} })

/** The usual language comes with the application, the other when somebody wants it. */
const texts = { zh: () => ({ default: zh }), en: () => import("./en.json") }

/** Loads a language's texts and shows them. */
export async function show(language: Language): Promise<void> {
  const { global } = i18n
  if (!(global.availableLocales as string[]).includes(language)) {
    global.setLocaleMessage(language, (await texts[language]()).default as never)
  }
  global.locale.value = language as never
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en"
}

/** Another language from now on, also in the catalogue and on other devices. */
export async function change(language: Language): Promise<void> {
  const told = speak(language)
  await show(language)
  if (session.value.signed_in) await loadCatalogue(language)
  await told
}
