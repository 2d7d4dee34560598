package dev.hookswitch.agent

import android.content.Context
import android.content.res.ColorStateList
import android.graphics.drawable.GradientDrawable
import android.graphics.drawable.RippleDrawable
import android.text.Editable
import android.text.InputType
import android.text.TextWatcher
import android.view.Gravity
import android.view.View
import android.view.ViewGroup.LayoutParams.MATCH_PARENT
import android.view.ViewGroup.LayoutParams.WRAP_CONTENT
import android.widget.Button
import android.widget.EditText
import android.widget.LinearLayout
import android.widget.ProgressBar
import android.widget.RadioButton
import android.widget.ScrollView
import android.widget.TextView

/** Draws a [Page] with the framework's views. What is drawn already stays, so that nobody loses the place or what was typed. */
class PageView(private val context: Context, private val fields: MutableMap<String, String>, private val act: (Act) -> Unit) {
    private val column = LinearLayout(context).apply {
        orientation = LinearLayout.VERTICAL
        setPadding(dp(20), dp(12), dp(20), dp(28))
    }

    /** All of it. */
    val root: View = ScrollView(context).apply {
        isFillViewport = true
        setBackgroundColor(color(R.color.ground))
        fitsSystemWindows = true
        addView(column)
    }
    private var drawn: Page? = null
    private var parts = listOf<Block>()

    /** Draws what has changed. [home]: there is no way back. */
    fun draw(page: Page, home: Boolean) {
        if (page == drawn) return
        val before = drawn
        drawn = page
        val head = if (before?.title == page.title && before.back == page.back) 1 else 0
        if (head == 0) {
            column.removeAllViews()
            parts = listOf()
            column.addView(head(page, home))
            (root as ScrollView).scrollTo(0, 0)
        }
        // Parts in the same place that are the same stay.
        val same = parts.zip(page.blocks).takeWhile { (old, new) -> old == new }.size
        val sameAtEnd = parts.drop(same).reversed().zip(page.blocks.drop(same).reversed()).takeWhile { (old, new) -> old == new }.size
        repeat(parts.size - same - sameAtEnd) { column.removeViewAt(1 + same) }
        page.blocks.subList(same, page.blocks.size - sameAtEnd).forEachIndexed { at, block -> column.addView(view(block), 1 + same + at) }
        parts = page.blocks
    }

    private fun head(page: Page, home: Boolean): View = LinearLayout(context).apply {
        gravity = Gravity.CENTER_VERTICAL
        layoutParams = below(4)
        if (page.back && !home) {
            addView(
                TextView(context).apply {
                    text = "←"
                    textSize = 26f
                    gravity = Gravity.CENTER
                    setTextColor(color(R.color.text))
                    minWidth = dp(48)
                    minHeight = dp(48)
                    contentDescription = context.getText(R.string.back)
                    rotationY = if (resources.configuration.layoutDirection == View.LAYOUT_DIRECTION_RTL) 180f else 0f
                    setOnClickListener { act(Act.Go(Screen.HOME)) }
                },
            )
        }
        addView(text(words(page.title), 20f, R.color.quiet).also { heading(it) })
    }

    private fun view(block: Block): View = when (block) {
        is Block.Heading -> text(words(block.text), 15f, R.color.quiet, top = 20).also { heading(it) }
        is Block.Title -> text(words(block.text), 32f, R.color.text, top = 12)
        is Block.Line -> text(words(block.text), 16f, R.color.text, top = 12)
        is Block.Notice -> notice(block)
        is Block.Button -> button(block, top = 12)
        is Block.Choice -> choice(block)
        is Block.Field -> field(block)
        is Block.Row -> row(block)
        Block.Progress -> ProgressBar(context).apply {
            layoutParams = below(16)
            contentDescription = context.getText(R.string.wait)
        }
    }

    private fun notice(block: Block.Notice): View = LinearLayout(context).apply {
        orientation = LinearLayout.VERTICAL
        layoutParams = below(12)
        setPadding(dp(16), dp(12), dp(16), dp(12))
        background = card(R.color.warning)
        accessibilityLiveRegion = View.ACCESSIBILITY_LIVE_REGION_POLITE
        addView(text(words(block.text), 16f, R.color.on_warning))
        block.button?.let { addView(button(it, top = 8)) }
    }

    private fun button(block: Block.Button, top: Int, plain: Int = R.color.card): View = Button(context).apply {
        text = words(block.text)
        isAllCaps = false
        textSize = 16f
        isEnabled = block.enabled
        alpha = if (block.enabled) 1f else DISABLED
        minHeight = dp(if (block.kind == Block.Button.Kind.PLAIN) 48 else 56)
        stateListAnimator = null
        val (ground, ink) = when (block.kind) {
            Block.Button.Kind.PLAIN -> plain to R.color.text
            Block.Button.Kind.MAIN -> R.color.brand to R.color.on_brand
            Block.Button.Kind.DANGER -> R.color.danger to R.color.on_danger
            Block.Button.Kind.GO -> R.color.go to R.color.on_go
        }
        setTextColor(color(ink))
        background = RippleDrawable(ColorStateList.valueOf(color(R.color.quiet)), card(ground), null)
        layoutParams = below(top)
        tag = block.act
        setOnClickListener { act(block.act) }
    }

    private fun choice(block: Block.Choice): View = RadioButton(context).apply {
        val title = words(block.text)
        text = if (block.waiting) context.getString(R.string.waiting, title) else title
        textSize = 16f
        isChecked = block.chosen
        minHeight = dp(48)
        setTextColor(color(R.color.text))
        layoutParams = below(0)
        tag = block.act
        setOnClickListener {
            // What is chosen is what the server says.
            isChecked = block.chosen
            act(block.act)
        }
    }

    private fun field(block: Block.Field): View = EditText(context).apply {
        hint = words(block.hint)
        inputType = when (block.kind) {
            Block.Field.Kind.PHONE -> InputType.TYPE_CLASS_PHONE
            Block.Field.Kind.CODE -> InputType.TYPE_CLASS_NUMBER
        }
        textSize = 18f
        minHeight = dp(48)
        setTextColor(color(R.color.text))
        setHintTextColor(color(R.color.quiet))
        layoutParams = below(12)
        tag = block.name
        setText(fields[block.name].orEmpty())
        addTextChangedListener(
            object : TextWatcher {
                override fun afterTextChanged(typed: Editable) {
                    fields[block.name] = typed.toString()
                }

                override fun beforeTextChanged(text: CharSequence, start: Int, count: Int, after: Int) = Unit

                override fun onTextChanged(text: CharSequence, start: Int, before: Int, count: Int) = Unit
            },
        )
    }

    private fun row(block: Block.Row): View = LinearLayout(context).apply {
        orientation = LinearLayout.VERTICAL
        layoutParams = below(8)
        setPadding(dp(16), dp(12), dp(16), dp(12))
        background = card(R.color.card)
        addView(text(words(block.title), 16f, R.color.text))
        addView(text(words(block.detail), 14f, R.color.quiet, top = 4))
        block.button?.let { addView(button(it, top = 8, plain = R.color.ground)) }
    }

    private fun text(words: CharSequence, size: Float, ink: Int, top: Int = 0) = TextView(context).apply {
        text = words
        textSize = size
        setTextColor(color(ink))
        // A name in another script begins where the page's lines do.
        textAlignment = View.TEXT_ALIGNMENT_VIEW_START
        layoutParams = below(top)
    }

    private fun heading(view: View) {
        if (android.os.Build.VERSION.SDK_INT >= 28) view.isAccessibilityHeading = true
    }

    private fun words(text: Text): String {
        val said = text.said ?: return context.getString(text.id, *text.words.map { isolated(it) }.toTypedArray())
        return if (said.startsWith("+")) isolated(said) else said
    }

    /** What is filled in keeps its own direction: a telephone number runs from left to right, and a name as it is written. */
    private fun isolated(word: String) = if (word.startsWith("+")) "\u2066$word\u2069" else "\u2068$word\u2069"

    private fun below(top: Int) = LinearLayout.LayoutParams(MATCH_PARENT, WRAP_CONTENT).apply { topMargin = dp(top) }

    private fun card(ground: Int) = GradientDrawable().apply {
        setColor(color(ground))
        cornerRadius = dp(14).toFloat()
    }

    private fun color(id: Int) = context.getColor(id)

    private fun dp(size: Int) = (size * context.resources.displayMetrics.density).toInt()

    private companion object {
        const val DISABLED = 0.5f
    }
}
