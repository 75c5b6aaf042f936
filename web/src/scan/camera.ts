/** The phone's camera while a page looks through it: on, off with the page, and why not. */
import { type Ref, onBeforeUnmount, onMounted, ref } from "vue"
import { endReading, textIn } from "./reader"

/** `insecure`: browsers give no camera to pages without https. */
export type Look = "starting" | "looking" | "denied" | "missing" | "busy" | "insecure"

const LOOK_EVERY_MS = 100
const WANTED: MediaStreamConstraints = {
  video: { facingMode: { ideal: "environment" }, width: { ideal: 1280 }, height: { ideal: 720 } },
}
const WHY: Record<string, Look> = { NotAllowedError: "denied", SecurityError: "denied", NotFoundError: "missing", OverconstrainedError: "missing" }

/** A lamp, where the camera has one; the DOM's types do not know of it. */
type Lamp = MediaTrackCapabilities & { torch?: boolean }

export function useCamera(video: Ref<HTMLVideoElement | undefined>, found: (text: string) => void) {
  const look = ref<Look>("starting")
  const lamp = ref<boolean | null>(null)
  let stream: MediaStream | undefined
  let timer: ReturnType<typeof setTimeout> | undefined
  let last = ""
  let gone = false

  async function start(): Promise<void> {
    stop()
    look.value = "starting"
    if (!navigator.mediaDevices?.getUserMedia) {
      look.value = "insecure"
      return
    }
    try {
      const fresh = await navigator.mediaDevices.getUserMedia(WANTED)
      if (gone || document.hidden) return fresh.getTracks().forEach((track) => track.stop())
      await show(fresh)
    } catch (error) {
      look.value = WHY[(error as DOMException).name] ?? "busy"
    }
  }

  async function show(fresh: MediaStream): Promise<void> {
    stream = fresh
    const shown = video.value!
    shown.srcObject = fresh
    await shown.play()
    const [track] = fresh.getVideoTracks()
    lamp.value = (track?.getCapabilities?.() as Lamp | undefined)?.torch ? false : null
    look.value = "looking"
    void watch()
  }

  async function watch(): Promise<void> {
    const mine = stream
    if (!mine || !video.value?.videoWidth) {
      if (mine) timer = setTimeout(() => void watch(), LOOK_EVERY_MS)
      return
    }
    const text = await textIn(video.value)
    if (mine !== stream) return
    if (text && text !== last) {
      last = text
      navigator.vibrate?.(60)
      found(text)
    }
    timer = setTimeout(() => void watch(), LOOK_EVERY_MS)
  }

  function stop(): void {
    clearTimeout(timer)
    stream?.getTracks().forEach((track) => track.stop())
    stream = undefined
    lamp.value = null
  }

  async function light(): Promise<void> {
    const [track] = stream?.getVideoTracks() ?? []
    const wanted = !lamp.value
    await track?.applyConstraints({ advanced: [{ torch: wanted } as MediaTrackConstraintSet] })
    lamp.value = wanted
  }

  /** Nobody is looked at behind a page that is not shown. */
  function withPage(): void {
    if (document.hidden) stop()
    else void start()
  }

  onMounted(() => {
    document.addEventListener("visibilitychange", withPage)
    void start()
  })
  onBeforeUnmount(() => {
    gone = true
    document.removeEventListener("visibilitychange", withPage)
    stop()
    endReading()
  })

  return { look, lamp, start, light }
}
