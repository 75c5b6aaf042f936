/** Whether the device still has room for what somebody fills in. */
import { ref } from "vue"

/** What was filled in last could not be kept: said on every page until there is room again. */
export const noRoom = ref(false)

/** Does work that stores something; notes whether there was room for it. */
export async function withRoom<T>(work: () => Promise<T>): Promise<T> {
  try {
    const done = await work()
    noRoom.value = false
    return done
  } catch (error) {
    noRoom.value ||= isFull(error)
    throw error
  }
}

export function isFull(error: unknown): boolean {
  return error instanceof DOMException && error.name === "QuotaExceededError"
}
