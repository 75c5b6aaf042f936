/** What a page of administration has asked for: the answer, or why there is none. */
import { type Ref, ref, shallowRef } from "vue"
import { Refusal, Unreachable } from "@/api/http"

export interface Asking<T> {
  found: Ref<T | null>
  error: Ref<unknown>
  busy: Ref<boolean>
  load: () => Promise<void>
}

/** Only the answer to what was asked for last is taken. */
export function useAsking<T>(ask: () => Promise<T>): Asking<T> {
  const found = shallowRef<T | null>(null) as Ref<T | null>
  const error = shallowRef<unknown>(null)
  const busy = ref(false)
  let latest = 0

  async function load(): Promise<void> {
    const mine = (latest += 1)
    busy.value = true
    try {
      const answer = await ask()
      if (mine !== latest) return
      found.value = answer
      error.value = null
    } catch (problem) {
      if (!(problem instanceof Refusal || problem instanceof Unreachable)) throw problem
      if (mine === latest) error.value = problem
    } finally {
      if (mine === latest) busy.value = false
    }
  }

  return { found, error, busy, load }
}
