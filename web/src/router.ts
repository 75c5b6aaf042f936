import { type RouteLocationNormalized, START_LOCATION, createRouter, createWebHistory } from "vue-router"
import { catalogue } from "@/api/catalogue"
import { overseer } from "@/shell/pages"
import { use } from "@/shell/used"
import { desk } from "@/shell/width"
// What somebody uses every day comes in one piece: on a slow line each file is a wait of its own.
import DetailPage from "@/pages/DetailPage.vue"
import FormPage from "@/pages/FormPage.vue"
import ListPage from "@/pages/ListPage.vue"
import TodayPage from "@/pages/TodayPage.vue"
import NotThere from "@/parts/NotThere.vue"

/** Pages of what the catalogue does not know are not opened. */
function known(kind: "commands" | "views", name: "command" | "view") {
  return ({ params }: RouteLocationNormalized) =>
    catalogue.value?.[kind][String(params[name])] !== undefined || "/not-there"
}

/** Pages made by hand for a command stand and fall with it. */
function own(command: string) {
  return { meta: { command }, beforeEnter: () => catalogue.value?.commands[command] !== undefined || "/not-there" }
}

/** Whoever opens the application to look after schools begins with where things go wrong. */
function atFirst(_: RouteLocationNormalized, from: RouteLocationNormalized) {
  return from !== START_LOCATION || !desk.value || !overseer.value || "/county"
}

export const router = createRouter({
  history: createWebHistory(),
  scrollBehavior: (to, _, saved) => saved ?? (to.hash ? { el: to.hash } : { top: 0 }),
  routes: [
    { path: "/", component: TodayPage, beforeEnter: atFirst },
    { path: "/alerts", component: () => import("@/pages/AlertsPage.vue") },
    { path: "/figures", component: () => import("@/pages/FiguresPage.vue") },
    { path: "/figures/:measure", component: () => import("@/pages/FigurePage.vue") },
    { path: "/county", component: () => import("@/pages/CountyPage.vue") },
    { path: "/menu/:week?/:canteen?", component: () => import("@/pages/MenuPage.vue") },
    { path: "/services", component: () => import("@/pages/ServicesPage.vue") },
    { path: "/service/:service", component: () => import("@/pages/ServicesPage.vue") },
    { path: "/search", component: () => import("@/pages/SearchPage.vue") },
    { path: "/outbox", component: () => import("@/pages/OutboxPage.vue") },
    { path: "/list/:view", component: ListPage, beforeEnter: known("views", "view") },
    { path: "/list/:view/:id", component: DetailPage, beforeEnter: known("views", "view") },
    { path: "/do/:command/:id?", component: FormPage, beforeEnter: known("commands", "command") },
    { path: "/go/:view/:id", redirect: ({ params }) => `/list/${String(params.view)}/${String(params.id)}` },
    { path: "/scan", component: () => import("@/scan/ScanPage.vue") },
    { path: "/repair", component: () => import("@/repair/RepairPage.vue"), ...own("ReportRepair") },
    { path: "/inspect", component: () => import("@/inspection/InspectionsPage.vue"), ...own("CarryOutInspection") },
    { path: "/inspect/:id", component: () => import("@/inspection/InspectPage.vue"), ...own("ConcludeInspection") },
    { path: "/import/:command", component: () => import("@/pages/ImportPage.vue"), beforeEnter: known("commands", "command") },
    { path: "/admin", component: () => import("@/admin/AdminPage.vue") },
    { path: "/admin/roles", component: () => import("@/admin/RolesPage.vue") },
    { path: "/admin/delegations", component: () => import("@/admin/DelegationsPage.vue") },
    { path: "/admin/rules", component: () => import("@/admin/RulesPage.vue") },
    { path: "/admin/rules/:service/:of/:rule", component: () => import("@/admin/RulePage.vue") },
    { path: "/admin/audit", component: () => import("@/admin/AuditPage.vue") },
    { path: "/admin/health", component: () => import("@/admin/HealthPage.vue") },
    { path: "/:anything(.*)*", component: NotThere },
  ],
})

/** Fetches the script of the page that was asked for, while it is not yet known who asks. */
export function prefetchPage(): void {
  for (const { components } of router.resolve(location.pathname).matched) {
    const page = components?.default
    if (typeof page === "function") void (page as () => Promise<unknown>)()
  }
}

/** A deployment takes the scripts of the pages before it along: they come with the page anew. */
const LOST = /dynamically imported module|module script failed|JavaScript MIME type|preload CSS/i
const ANEW = "houqin-anew"

router.onError((error, to) => {
  // Once for an address: a script that is missing there, too, would be asked for for ever.
  if (!navigator.onLine || !LOST.test(String(error)) || sessionStorage.getItem(ANEW) === to.fullPath) return
  sessionStorage.setItem(ANEW, to.fullPath)
  location.assign(to.fullPath)
})

router.afterEach((to, _, failure) => {
  if (!failure) sessionStorage.removeItem(ANEW)
  if (to.path.startsWith("/do/")) use(String(to.params.command))
  else if (to.meta.command) use(String(to.meta.command))
})
