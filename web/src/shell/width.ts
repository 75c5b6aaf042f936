/** Which of the two shells fits: a desk has room for tables, a phone for cards. */
import { ref } from "vue"

const PHONE_PX = 480

const wide = matchMedia("(min-width: 900px)")
/** A phone that is held across, to sign with a finger, stays one: the page is not drawn anew. */
const phone = Math.min(screen.width, screen.height) < PHONE_PX

export const desk = ref(wide.matches && !phone)

wide.addEventListener("change", () => {
  desk.value = wide.matches && !phone
})
