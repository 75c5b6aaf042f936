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
  inspection_register: {
    body: defineAsyncComponent(() => import("@/inspection/InspectionBody.vue")),
    takes: ["JudgeItems", "ConcludeInspection"],
  },
  menu_versions: {
    body: defineAsyncComponent(() => import("@/menu/MenuBody.vue")),
    takes: ["ChangeMenu", "CheckMenu", "PublishMenu", "SupersedeMenu"],
  },
}

/** Commands that are filled in on a page of their own; `{id}` is the thing's. */
const FORMS: Record<string, string> = {
  ReportRepair: "/repair",
  CarryOutInspection: "/inspect",
  JudgeItems: "/inspect/{id}",
  ConcludeInspection: "/inspect/{id}",
}

/** Whether a daily task has a page of its own: such come first. */
export function hasOwnForm(command: string): boolean {
  return command in FORMS
}

/** Where a command is filled in. */
export function formOf(command: string, id?: string | null): string {
  return FORMS[command]?.replace("{id}", id ?? "") ?? `/do/${command}${id ? `/${id}` : ""}`
}
