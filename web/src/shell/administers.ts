/** Whether somebody has anything to administer: then the shells show the way there. */
import { computed } from "vue"
import { catalogue } from "@/api/catalogue"

/** What each page of administration stands on, by the catalogue; it decides who is shown it. */
export const ON = {
  roles: () => catalogue.value?.views.post_list?.may,
  delegations: () => catalogue.value?.commands.DelegatePost?.may,
  rules: () => catalogue.value?.routes?.rulebook?.may,
  audit: () => catalogue.value?.routes?.audit?.may,
  health: () => catalogue.value?.routes?.state?.may,
}

/** Reading who holds what is for many; these are for whoever looks after something. */
export const administers = computed(
  () => !!(ON.audit() || ON.health() || catalogue.value?.commands.AppointStaff?.may || catalogue.value?.commands.PublishRule?.may),
)
