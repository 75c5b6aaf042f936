/** The rows that a picker offers: asked for while its user types, the latest answer wins. */
import { ref, shallowRef } from "vue"
import type { Reference } from "@/api/catalogue"
import { Refusal, Unreachable } from "@/api/http"
import { unitId } from "@/api/session"
import { type Choice, find } from "@/references"

const TYPING_MS = 200

export function useFound(to: Reference) {
  const found = shallowRef<Choice[]>([])
  const busy = ref(false)
  /** It could not be looked: not the same as nothing found. */
  const failed = ref(false)
  let latest = 0
  let timer: ReturnType<typeof setTimeout> | undefined

  async function load(text: string): Promise<void> {
    const mine = ++latest
    busy.value = true
    try {
      const rows = await find(to, text, unitId.value)
      if (mine !== latest) return
      found.value = rows
      failed.value = false
    } catch (error) {
      if (!(error instanceof Refusal || error instanceof Unreachable)) throw error
      if (mine !== latest) return
      found.value = []
      failed.value = true
    } finally {
      if (mine === latest) busy.value = false
    }
  }

  function search(text: string): void {
    clearTimeout(timer)
    timer = setTimeout(() => void load(text.trim()), text ? TYPING_MS : 0)
  }

  return { found, busy, failed, search }
}
