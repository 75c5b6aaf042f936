/** What nobody waits for: done when the page that somebody does wait for is there. */
export function whenIdle(act: () => void): void {
  if ("requestIdleCallback" in globalThis) requestIdleCallback(act, { timeout: 5000 })
  else setTimeout(act, 1000)
}
