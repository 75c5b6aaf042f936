/** Tells the application's other tabs on this device that what they show is no longer so. */
const tabs = "BroadcastChannel" in globalThis ? new BroadcastChannel("houqin-session") : null

/** Somebody signed out in another tab, or a newer version needs their hold on what is kept. */
export function beginAnewWithOtherTabs(): void {
  if (tabs) tabs.onmessage = () => location.assign("/")
}

export function tellOtherTabs(): void {
  tabs?.postMessage("changed")
}
