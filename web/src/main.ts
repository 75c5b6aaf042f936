import { createApp } from "vue"
import "./tokens.css"
import "./base.css"
import "./print.css"
import App from "./App.vue"
import { watchAlerts } from "./alerts/live"
import { catalogue, loadCatalogue } from "./api/catalogue"
import { Unreachable } from "./api/http"
import { loadSession, session } from "./api/session"
import { i18n, show } from "./i18n"
import { whenIdle } from "./idle"
import { finishLeaving } from "./offline/leaving"
import { startOutbox } from "./offline/outbox"
import { beginAnewWithOtherTabs } from "./offline/tabs"
import { learnUnits } from "./references"
import { prefetchPage, router } from "./router"
import { desk } from "./shell/width"

const FONT_MS = 1500
const KEEP_MS = 4000

/** Who is there decides what is shown, so the first page waits for it; all else comes after. */
async function begin(): Promise<void> {
  prefetchPage()
  beginAnewWithOtherTabs()
  if (await finishLeaving()) await loadSession()
  const { signed_in, language } = session.value
  await show(language)
  if (signed_in) await loadCatalogue(language).catch(tolerate)
  createApp(App).use(i18n).use(router).mount("#app")
  addFont()
  if (!signed_in) return
  void learnUnits() // rows name them
  whenIdle(() => void keepUp())
}

/** What goes on beside the page; on a slow line it would stand in the way of what the page asks. */
async function keepUp(): Promise<void> {
  await startOutbox()
  watchAlerts()
  if (catalogue.value?.commands.ConcludeInspection?.may) setTimeout(() => void keepForLater(), KEEP_MS)
}

/** At a desk, where the system's own Chinese type is often poor, and not before the page is there;
 * phones bring a good one, and a hundred pieces of type would stand in the way of what they ask. */
function addFont(): void {
  if (desk.value) setTimeout(() => void import("@fontsource-variable/noto-sans-sc"), FONT_MS)
}

/** What will be needed where there is no network, once the page that was asked for is there. */
async function keepForLater(): Promise<void> {
  await (await import("./inspection/known")).keepInspections()
}

function tolerate(error: unknown): void {
  if (!(error instanceof Unreachable)) throw error
}

void begin()
