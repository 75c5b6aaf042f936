/** Which forms somebody opens often: they come first. Kept on this device alone. */
const NAME = "houqin-used"

function counts(): Record<string, number> {
  try {
    return JSON.parse(localStorage.getItem(NAME) ?? "{}") as Record<string, number>
  } catch {
    return {}
  }
}

export function used(command: string): number {
  return counts()[command] ?? 0
}

export function use(command: string): void {
  localStorage.setItem(NAME, JSON.stringify({ ...counts(), [command]: used(command) + 1 }))
}
