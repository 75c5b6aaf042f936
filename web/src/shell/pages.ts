/** The application's own pages, as both shells offer them. */
import { BellRing, ChartColumn, House, LayoutGrid, Send } from "@lucide/vue"

export const PAGES = [
  { to: "/", label: "nav.today", icon: House },
  { to: "/alerts", label: "nav.alerts", icon: BellRing },
  { to: "/figures", label: "nav.figures", icon: ChartColumn },
  { to: "/services", label: "nav.everything", icon: LayoutGrid },
  { to: "/outbox", label: "outbox.title", icon: Send },
]
