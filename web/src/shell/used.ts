/** What somebody opens often comes first, and lists look as they left them. On this device alone. */
import { session } from "@/api/session"

const KINDS = { used: "houqin-used-of-", columns: "houqin-columns-of-" }

function read<T>(kind: keyof typeof KINDS): Record<string, T> {
  try {
    return JSON.parse(localStorage.getItem(KINDS[kind] + session.value.subject) ?? "{}") as Record<string, T>
  } catch {
    return {}
  }
}

function write<T>(kind: keyof typeof KINDS, name: string, value: T): void {
  const all = { ...read<T>(kind), [name]: value }
  localStorage.setItem(KINDS[kind] + session.value.subject, JSON.stringify(all))
}

export function used(command: string): number {
  return read<number>("used")[command] ?? 0
}

export function use(command: string): void {
  write("used", command, used(command) + 1)
}

/** The columns that somebody has chosen for a list before. */
export function chosenColumns(view: string): string[] {
  return read<string[]>("columns")[view] ?? []
}

export function chooseColumns(view: string, names: string[]): void {
  write("columns", view, names)
}

export function forgetUsed(subject: string): void {
  for (const kind of Object.values(KINDS)) localStorage.removeItem(kind + subject)
}
