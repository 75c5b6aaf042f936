/** Which forms somebody opens often: they come first. Kept on this device alone. */
import { session } from "@/api/session"

const nameOf = (subject: string): string => `houqin-used-of-${subject}`

function counts(): Record<string, number> {
  try {
    return JSON.parse(localStorage.getItem(nameOf(session.value.subject)) ?? "{}") as Record<string, number>
  } catch {
    return {}
  }
}

export function used(command: string): number {
  return counts()[command] ?? 0
}

export function use(command: string): void {
  const counted = { ...counts(), [command]: used(command) + 1 }
  localStorage.setItem(nameOf(session.value.subject), JSON.stringify(counted))
}

export function forgetUsed(subject: string): void {
  localStorage.removeItem(nameOf(subject))
}
