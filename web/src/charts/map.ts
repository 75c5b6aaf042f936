/** The chart library's maps; loaded when a map is first shown. */
import { MapChart } from "echarts/charts"
import { TooltipComponent } from "echarts/components"
import { init, registerMap, use } from "echarts/core"
import { SVGRenderer } from "echarts/renderers"

use([MapChart, TooltipComponent, SVGRenderer])

export { init, registerMap }
