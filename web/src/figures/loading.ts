/** A dashboard as it is asked for: read anew whenever the question changes, the latest answer wins. */
import { type Ref, ref, shallowRef, watch } from "vue"
import { Refusal, Unreachable } from "@/api/http"
import { type Dashboard, dashboard } from "./api"

export interface Question {
  unit: string
  period: string
  measures: string[]
  by_unit?: string
  level?: string
  dims?: string
}

export function useDashboard(question: Ref<Question>) {
  const found = shallowRef<Dashboard | null>(null)
  const error = shallowRef<unknown>(null)
  const busy = ref(false)
  let latest = 0

  async function load(): Promise<void> {
    const { measures, ...asked } = question.value
    if (!asked.unit || !measures.length) return
    const mine = ++latest
    error.value = null
    busy.value = true
    try {
      const answer = await dashboard(measures, asked)
      if (mine === latest) found.value = answer
    } catch (problem) {
      if (!(problem instanceof Refusal || problem instanceof Unreachable)) throw problem
      if (mine === latest) error.value = problem
    } finally {
      if (mine === latest) busy.value = false
    }
  }

  watch(() => JSON.stringify(question.value), load, { immediate: true })

  return { found, error, busy, load }
}
