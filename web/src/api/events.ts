/** What events and their fields are called: only histories say so, so it comes with the first one. */
import { shallowReactive, watch } from "vue"
import { useI18n } from "vue-i18n"
import type { Field } from "./catalogue"
import { type Language, Refusal, Unreachable, ask } from "./http"

interface EventWords {
  service: string
  aggregate: string
  label: string
  fields: Field[]
}

type Known = Record<string, EventWords>

const known = shallowReactive(new Map<Language, Known>())
const asked = new Map<Language, Promise<void>>()

/** The words of a type of event, as soon as they are there. */
export function useEventWords(): (type: string) => EventWords | undefined {
  const every = useAllEventWords()
  return (type) => every()[type]
}

/** The words of every type of event; none before they are there. */
export function useAllEventWords(): () => Known {
  const { locale } = useI18n()
  const language = (): Language => locale.value as Language
  watch(language, (one) => void learn(one), { immediate: true })
  return () => known.get(language()) ?? {}
}

function learn(language: Language): Promise<void> {
  const begun = asked.get(language) ?? fetched(language)
  asked.set(language, begun)
  return begun
}

/** Without network there is no history to read, either. */
async function fetched(language: Language): Promise<void> {
  try {
    const { data } = await ask<Known>(`/portal/catalogue/events?lang=${language}`)
    known.set(language, data)
  } catch (error) {
    asked.delete(language)
    if (!(error instanceof Refusal || error instanceof Unreachable)) throw error
  }
}
