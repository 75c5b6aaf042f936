/** A finger that moves a card sideways; up and down stay the page's. */
import { ref } from "vue"

const ENOUGH_PX = 56

export function useSwipe(move: (step: 1 | -1) => void) {
  const shift = ref(0)
  let from: number | null = null

  function down(event: PointerEvent): void {
    const typing = (event.target as Element).closest("input, textarea, select")
    from = event.pointerType === "touch" && !typing ? event.clientX : null
  }

  function drag(event: PointerEvent): void {
    if (from !== null) shift.value = event.clientX - from
  }

  function up(): void {
    const moved = shift.value
    cancel()
    if (Math.abs(moved) >= ENOUGH_PX) move(moved < 0 ? 1 : -1)
  }

  function cancel(): void {
    from = null
    shift.value = 0
  }

  return { shift, on: { pointerdown: down, pointermove: drag, pointerup: up, pointercancel: cancel } }
}
