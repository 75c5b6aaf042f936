/** Which of the two shells fits: a desk has room for tables, a phone for cards. */
import { ref } from "vue"

const wide = matchMedia("(min-width: 900px)")

export const desk = ref(wide.matches)

wide.addEventListener("change", () => {
  desk.value = wide.matches
})
