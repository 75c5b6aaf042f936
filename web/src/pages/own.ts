/**
 * Things whose page is made by hand, where the generated one is measurably worse for a daily
 * task. Everything else, and whatever comes, is drawn from the catalogue.
 */
import { type Component, defineAsyncComponent } from "vue"

interface Own {
  /** Shows the thing instead of its bare columns. */
  body: Component
  /** Commands for which the body has a place of its own. */
  takes: string[]
}

export const OWN: Record<string, Own> = {
  requisition_list: {
    body: defineAsyncComponent(() => import("@/requisition/RequisitionBody.vue")),
    takes: ["ApproveRequisition"],
  },
  menu_versions: {
    body: defineAsyncComponent(() => import("@/menu/MenuBody.vue")),
    takes: ["ChangeMenu", "CheckMenu", "PublishMenu", "SupersedeMenu"],
  },
}
