import { type RouteLocationNormalized, createRouter, createWebHistory } from "vue-router"
import { catalogue } from "@/api/catalogue"
import { use } from "@/shell/used"
import TodayPage from "@/pages/TodayPage.vue"

/** Pages of what the catalogue does not know are not opened. */
function known(kind: "commands" | "views", name: "command" | "view") {
  return ({ params }: RouteLocationNormalized) =>
    catalogue.value?.[kind][String(params[name])] !== undefined || "/not-there"
}

export const router = createRouter({
  history: createWebHistory(),
  scrollBehavior: (to, _, saved) => saved ?? (to.hash ? { el: to.hash } : { top: 0 }),
  routes: [
    { path: "/", component: TodayPage },
    { path: "/alerts", component: () => import("@/pages/AlertsPage.vue") },
    { path: "/figures", component: () => import("@/pages/FiguresPage.vue") },
    { path: "/figures/:measure", component: () => import("@/pages/FigurePage.vue") },
    { path: "/services", component: () => import("@/pages/ServicesPage.vue") },
    { path: "/service/:service", component: () => import("@/pages/ServicesPage.vue") },
    { path: "/search", component: () => import("@/pages/SearchPage.vue") },
    { path: "/outbox", component: () => import("@/pages/OutboxPage.vue") },
    { path: "/list/:view", component: () => import("@/pages/ListPage.vue"), beforeEnter: known("views", "view") },
    { path: "/list/:view/:id", component: () => import("@/pages/DetailPage.vue"), beforeEnter: known("views", "view") },
    { path: "/do/:command/:id?", component: () => import("@/pages/FormPage.vue"), beforeEnter: known("commands", "command") },
    { path: "/import/:command", component: () => import("@/pages/ImportPage.vue"), beforeEnter: known("commands", "command") },
    { path: "/:anything(.*)*", component: () => import("@/parts/NotThere.vue") },
  ],
})

router.afterEach((to) => {
  if (to.path.startsWith("/do/")) use(String(to.params.command))
})
