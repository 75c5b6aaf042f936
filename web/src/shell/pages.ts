/** The application's own pages, as both shells offer them. */
import { computed } from "vue"
import { BellRing, ChartColumn, House, LayoutGrid, Send } from "@lucide/vue"
import { session } from "@/api/session"

const BUREAUX = ["province", "city", "county", "township"]

/** Whether the unit worked for now looks after several schools. */
export const bureau = computed(() => BUREAUX.includes(session.value.unit?.level ?? ""))

/** Who works there, and does not merely set it up: their day begins with the schools. */
export const overseer = computed(() => bureau.value && session.value.posts.some((post) => post.role !== "administrator" && BUREAUX.includes(post.unit.level)))

export const PAGES = [
  { to: "/", label: "nav.today", icon: House },
  { to: "/alerts", label: "nav.alerts", icon: BellRing },
  { to: "/figures", label: "nav.figures", icon: ChartColumn },
  { to: "/services", label: "nav.everything", icon: LayoutGrid },
  { to: "/outbox", label: "outbox.title", icon: Send },
]
