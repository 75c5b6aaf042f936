/** The rows that a picker offers: asked for while its user types, the latest answer wins. */
import { ref, shallowRef } from "vue"
import type { Reference } from "@/api/catalogue"
import { unitId } from "@/api/session"
import { type Choice, find } from "@/references"

const TYPING_MS = 200

export function useFound(to: Reference) {
  const found = shallowRef<Choice[]>([])
  const busy = ref(false)
  let latest = 0
  let timer: ReturnType<typeof setTimeout> | undefined

  async function load(text: string): Promise<void> {
    const mine = ++latest
    busy.value = true
    try {
      const rows = await find(to, text, unitId.value)
      if (mine === latest) found.value = rows
    } finally {
      if (mine === latest) busy.value = false
    }
  }

  function search(text: string): void {
    clearTimeout(timer)
    timer = setTimeout(() => void load(text.trim()), text ? TYPING_MS : 0)
  }

  return { found, busy, search }
}
