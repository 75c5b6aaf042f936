import { createRouter, createWebHistory } from "vue-router"
import { use } from "@/shell/used"
import TodayPage from "@/pages/TodayPage.vue"

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
    { path: "/list/:view", component: () => import("@/pages/ListPage.vue") },
    { path: "/list/:view/:id", component: () => import("@/pages/DetailPage.vue") },
    { path: "/do/:command/:id?", component: () => import("@/pages/FormPage.vue") },
    { path: "/import/:command", component: () => import("@/pages/ImportPage.vue") },
    { path: "/:anything(.*)*", component: () => import("@/parts/NotThere.vue") },
  ],
})

router.afterEach((to) => {
  if (to.path.startsWith("/do/")) use(String(to.params.command))
})
